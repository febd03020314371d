/* SPDX-License-Identifier: MIT */
/*
 * What the files of the demo share; demo.c tells the story. Functions that return bool have
 * complained on stderr when they return false.
 */
#ifndef AWA_DEMO_H
#define AWA_DEMO_H

#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include <awa/awa.h>

enum {
    WORKERS = 4,       /* processes */
    THREADS = 2,       /* handler threads in each */
    ATTEMPTS = 3,      /* of every job */
    RETRY_MS = 300,    /* between them */
    MISSING = 12,      /* jobs whose file does not exist */
    JOBS_MAX = 200000, /* more than most have files below /usr/share */
    KILL_PERCENT = 40, /* of the jobs have begun when a worker is killed */
    VICTIM_MS = 2000,  /* its handler waits for that */
    PATIENCE_S = 120,  /* without any progress, then the demo gives up */
};

#define KIND "digest"

/* ---- demo_text.c: clock and words ------------------------------------------------------------ */

/* Milliseconds of a clock that never jumps and is the same in every process. */
int64_t now_ms(void);

/* 1,234,567 */
const char *grouped(int64_t n, char text[32]);

/* `demo: ` and the line on stderr. Returns false. */
bool complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* {"url": "file:///usr/share/..."} of an absolute path, whatever bytes it has; to be freed. */
char *args_of_path(const char *path);

/* The way back; NULL if the JSON has another form or there is no memory. */
char *path_of_args(const char *json);

/* ---- demo_list.c: the input ------------------------------------------------------------------ */

struct item {
    char *path;
    int64_t id;   /* of its job; 0: not enqueued yet. Written by the feeder */
    bool missing; /* there is no such file, so its job must fail */
};

/* In the order of a walk: the files of a directory stand together. */
struct list {
    struct item *items;
    size_t n, capacity;
    size_t unreadable; /* left out */
};

/* Up to max readable regular files below a directory, and a few that do not exist. */
bool list_read(struct list *l, const char *root, size_t max);
void list_done(struct list *l);

/* The end of the directory that begins with items[from]. */
size_t list_directory_end(const struct list *l, size_t from);

/* ---- demo_digest.c: the work ----------------------------------------------------------------- */

struct digest {
    char sha256[65]; /* hex */
    int64_t bytes, packed;
};

/* Reads a file once. Returns 0 or an errno. */
int digest_file(const char *path, struct digest *ret);

/* ---- demo_board.c: what the processes tell each other ---------------------------------------- */

/* What a handler did with a job. */
enum note_state {
    NOTE_NONE,
    NOTE_RUNNING,
    NOTE_RETRYABLE,
    NOTE_COMPLETED,
    NOTE_FAILED,
    NOTE_STATES
};

/* One job, as its handlers saw it. */
struct note {
    atomic_int_least64_t started_ms; /* the last time; 0: never */
    atomic_int pickup_ms;            /* from runnable to the handler, the last time */
    atomic_int runs;                 /* how often a handler was entered */
    atomic_int state;                /* enum note_state */
    atomic_bool ended;               /* it was completed or failed once; a kill may undo that */
    atomic_bool no_queue;            /* fewer jobs than threads stood before it when it came */
};

/* Shared memory, for the view only: what counts is in the database. */
struct board {
    size_t capacity;
    atomic_int_least64_t started; /* jobs that a handler has seen */
    atomic_int_least64_t done;    /* jobs that ended */
    atomic_int_least64_t retries;
    atomic_int_least64_t bytes;
    atomic_int victim;   /* the worker that stands still in a job, to be killed; -1: none */
    struct note notes[]; /* by id: the database is new, so ids begin with 1 */
};

/* Made by the parent; the descriptor is inherited by the workers. NULL: complained. */
struct board *board_new(size_t capacity, int *ret_fd);
struct board *board_map(int fd);
void board_free(struct board *b);

/* NULL if the id is not expected */
struct note *board_note(struct board *b, int64_t id);

/* How many of the first jobs are in each state. */
void board_count(const struct board *b, size_t jobs, int64_t ret_counts[NOTE_STATES]);

/* ---- demo_worker.c: a worker process --------------------------------------------------------- */

/* The environment variable that holds the connection string. */
#define WORKER_CONNINFO "AWA_DEMO_CONNINFO"

/* demo --worker NUMBER BOARD_FD PARENT; runs until SIGTERM. Returns the exit code. */
int worker_main(char **args);

/* ---- demo_crew.c: the worker processes, seen from the parent --------------------------------- */

enum member_state {
    MEMBER_NONE,
    MEMBER_ALIVE,
    MEMBER_KILLED, /* by us, on purpose */
    MEMBER_ENDED,  /* because we asked it to */
    MEMBER_LOST,   /* nobody asked */
};

struct member {
    pid_t pid;
    enum member_state state;
    int log_fd;     /* what it writes; -1: closed */
    char line[400]; /* of that, the unfinished last line */
    size_t len;
};

struct crew {
    struct member members[WORKERS];
};

/* Called with each line that a worker writes. */
typedef void crew_hear(void *arg, int worker, const char *line);

void crew_init(struct crew *c);
bool crew_start(struct crew *c, const char *conninfo, int board_fd);

/* Notices workers that ended on their own. */
void crew_look(struct crew *c);
void crew_listen(struct crew *c, crew_hear *hear, void *arg);

/* With SIGKILL. */
void crew_kill_one(struct crew *c, int worker);

/* Lets them finish what they run; false if one did not end well or in time. */
bool crew_stop(struct crew *c);
void crew_kill(struct crew *c);

/* ---- demo_base.c: the demo's own database ---------------------------------------------------- */

struct base {
    PGconn *admin;  /* in the database that the user named; holds a lock */
    PGconn *conn;   /* in ours */
    char *conninfo; /* of ours */
    bool made;
};

/* Makes a new database, in place of that of an earlier run, and migrates it. */
bool base_open(struct base *b, const char *dsn);
void base_close(struct base *b);
bool base_drop(struct base *b);

/* A session with a limit on every statement. NULL: complained. */
PGconn *base_connect(const char *conninfo);

/* How many jobs have ended, and how many have not. */
bool base_count(struct base *b, int64_t *ret_ended, int64_t *ret_live);

/* The ids of the jobs that a killed worker holds, in order; to be freed. */
bool base_held(struct base *b, int worker, int64_t **ret_ids, size_t *ret_n);

/* Every job in order of id. */
enum result_column {
    COL_ID,
    COL_STATE,
    COL_ATTEMPT,
    COL_SHA256,
    COL_BYTES,
    COL_PACKED,
    COL_RESCUED
};
PGresult *base_results(struct base *b);

/* What a worker calls itself to the server, and in its list of workers. */
void worker_name(int worker, char name[32]);

/* ---- demo_feed.c: the producer --------------------------------------------------------------- */

struct feed {
    struct list *list;
    struct board *board;
    const char *conninfo;
    pthread_t thread;
    bool started;
    atomic_size_t enqueued;     /* jobs that are committed */
    atomic_size_t transactions; /* one for each directory */
    atomic_size_t held;         /* jobs that wait for nothing but the rescue of a dead worker */
    atomic_bool stop, failed;
};

bool feed_start(struct feed *f);
void feed_stop(struct feed *f);

/* ---- demo_view.c: what the user sees --------------------------------------------------------- */

struct progress {
    int64_t total, done, retries;
    int64_t rate, mean_rate; /* jobs per second, in the last second and ever */
    int64_t byte_rate;
    int pickup_p50, pickup_p99;  /* ms */
    int64_t states[NOTE_STATES]; /* jobs; NOTE_NONE: available */
    const struct crew *crew;
};

struct view {
    int64_t start_ms, drawn_ms;
    bool terminal, color, utf8;
    int lines; /* on the screen, to be drawn over */
};

void view_init(struct view *v);

/* Is it time to draw? */
bool view_is_due(const struct view *v);
void view_draw(struct view *v, const struct progress *p);

/* A line that stays, with the time. */
void view_event(struct view *v, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A line that stays until the next; only on a terminal. */
void view_status(struct view *v, const char *format, ...) __attribute__((format(printf, 2, 3)));
void view_erase(struct view *v);

/* What is on the screen stays there. */
void view_keep(struct view *v);

/* ---- demo_watch.c: from the first job to the last -------------------------------------------- */

/* How much was done by then. */
struct sample {
    int64_t ms, done, bytes;
};

enum { SAMPLES = 9 }; /* so many make a second */

struct watch {
    struct base *base;
    struct crew *crew;
    struct feed *feed;
    struct board *board;
    struct view *view;
    int signal_fd;
    struct progress progress;
    int64_t start_ms, progress_ms, counted_ms;
    struct sample samples[SAMPLES]; /* the newest ones; rates are measured over them */
    size_t nsamples;                /* ever taken */
    int killed;                     /* -1: nobody yet */
    int64_t killed_ms;
    int64_t *held; /* ids of its jobs */
    size_t nheld;
    bool held_again; /* and all of them have run again */
};

/* Has a signal come that asks us to end? Waits for it. Its number, or 0. */
int signal_wait(int signal_fd, int timeout_ms);

/* Returns 0 when every job has ended, a signal's number, or -1: complained. */
int watch_run(struct watch *w);
void watch_done(struct watch *w);

/* Times from runnable to the handler, in ms; of all jobs or of those that found no queue. */
struct pickups {
    int64_t n;
    int p50, p99;
};
void pickups_read(struct board *b, size_t jobs, bool no_queue, struct pickups *ret);

/* ---- demo_proof.c: was it all true? ---------------------------------------------------------- */

/* Counts again without the queue, and compares. Returns 0 if all agrees, or as watch_run(). */
int proof_run(const struct list *list, const struct watch *w);

#endif
