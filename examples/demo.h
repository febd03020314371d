/* SPDX-License-Identifier: MIT */
/*
 * What the files of the demo share; demo.c says what it does. Functions that return bool and can
 * fail have complained on stderr when they return false.
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
    WORKERS = 4,       /* worker processes */
    THREADS = 2,       /* handler threads of each */
    ATTEMPTS = 3,      /* of every job */
    RETRY_MS = 300,    /* between two attempts */
    MISSING = 12,      /* jobs whose file does not exist, at most */
    JOBS_MAX = 200000, /* most systems have fewer files below /usr/share */
    KILL_PERCENT = 40, /* when so many of the jobs have begun, a worker is killed */
    VICTIM_MS = 2000,  /* how long its handler waits for that */
    PATIENCE_S = 120,  /* after so long without progress, the demo gives up */
};

#define KIND "digest"

/* ---- demo_text.c: the clock, and texts ------------------------------------------------------- */

/* Milliseconds of a clock that never jumps and is the same in every process. */
int64_t now_ms(void);

/* Writes a number as 1,234,567. Returns text. */
const char *grouped(int64_t n, char text[32]);

/* Prints `demo: ` and a line on stderr. Returns false. */
bool complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Makes {"url": "file:///usr/share/..."} of an absolute path of any bytes; to be freed. */
char *args_of_path(const char *path);

/* Makes the path of such JSON, to be freed; NULL: it has another form, or out of memory. */
char *path_of_args(const char *json);

/* ---- demo_list.c: the input ------------------------------------------------------------------ */

struct item {
    char *path;
    int64_t id;   /* of its job, set by the feeder; 0: not enqueued yet */
    bool missing; /* there is no such file, so its job must fail */
};

/* In the order of a walk: the files of a directory stand together. */
struct list {
    struct item *items;
    size_t n, capacity;
    size_t unreadable; /* how many were left out because they cannot be read */
};

/* Lists up to max readable regular files below a directory, and a few that do not exist. */
bool list_read(struct list *l, const char *root, size_t max);
void list_done(struct list *l);

/* The index behind the last file of the directory that begins with items[from]. */
size_t list_directory_end(const struct list *l, size_t from);

/* ---- demo_digest.c: the work ----------------------------------------------------------------- */

struct digest {
    char sha256[65]; /* hex */
    int64_t bytes, packed;
};

/* Reads a file once. Returns 0 or an errno. */
int digest_file(const char *path, struct digest *ret);

/* ---- demo_board.c: the shared memory --------------------------------------------------------- */

/* What a handler did with a job last. */
enum note_state {
    NOTE_NONE,
    NOTE_RUNNING,
    NOTE_RETRYABLE,
    NOTE_COMPLETED,
    NOTE_FAILED,
    NOTE_STATES
};

/* What the handlers of one job have noted. */
struct note {
    atomic_int_least64_t started_ms; /* of the last attempt; 0: none yet */
    atomic_int pickup_ms;            /* of the last attempt: from runnable to the handler */
    atomic_int runs;                 /* how often a handler was called */
    atomic_int state;                /* enum note_state */
    atomic_bool ended;               /* it was completed or failed once; a kill may undo that */
    atomic_bool no_queue;            /* when it came, fewer jobs than threads waited */
};

/* Shared memory, for the view, the kill and the proof. Results are in the database. */
struct board {
    size_t capacity;
    atomic_int_least64_t started; /* jobs that a handler has begun */
    atomic_int_least64_t done;    /* jobs that have ended */
    atomic_int_least64_t retries;
    atomic_int_least64_t bytes;
    atomic_int victim;   /* the worker that waits in a job to be killed; -1: none */
    struct note notes[]; /* by id - 1: the database is new, so ids begin with 1 */
};

/* The parent makes the board; the workers inherit its descriptor and map it. NULL: complained. */
struct board *board_new(size_t capacity, int *ret_fd);
struct board *board_map(int fd);
void board_free(struct board *b);

/* The note of a job; NULL: there is none with this id. */
struct note *board_note(struct board *b, int64_t id);

/* Counts how many of the first `jobs` notes are in each state. */
void board_count(const struct board *b, size_t jobs, int64_t ret_counts[NOTE_STATES]);

/* ---- demo_worker.c: a worker process --------------------------------------------------------- */

/* The environment variable that holds the connection string. */
#define WORKER_CONNINFO "AWA_DEMO_CONNINFO"

/* Runs `demo --worker NUMBER BOARD_FD PARENT` until SIGTERM. Returns the exit code. */
int worker_main(char **args);

/* ---- demo_crew.c: starts, watches and ends the workers --------------------------------------- */

enum member_state {
    MEMBER_NONE,
    MEMBER_ALIVE,
    MEMBER_KILLED, /* by crew_kill_one() */
    MEMBER_ENDED,  /* by crew_stop() or crew_kill() */
    MEMBER_LOST,   /* it ended by itself, which is an error */
};

struct member {
    pid_t pid;
    enum member_state state;
    int log_fd;     /* its output is read from here; -1: closed */
    char line[400]; /* the unfinished last line of its output */
    size_t len;
};

struct crew {
    struct member members[WORKERS];
};

/* Called with each line that a worker writes. */
typedef void crew_hear(void *arg, int worker, const char *line);

void crew_init(struct crew *c);
bool crew_start(struct crew *c, const char *conninfo, int board_fd);

/* Notices workers that have ended by themselves. */
void crew_look(struct crew *c);

/* Reads what the workers have written, and does not wait. */
void crew_listen(struct crew *c, crew_hear *hear, void *arg);

/* Kills one worker with SIGKILL. */
void crew_kill_one(struct crew *c, int worker);

/* Stops the workers, which finish what they run. False: one failed, or did not end in time. */
bool crew_stop(struct crew *c);

/* Kills all workers that are left, and closes their pipes. */
void crew_kill(struct crew *c);

/* ---- demo_base.c: the demo's own database ---------------------------------------------------- */

struct base {
    PGconn *admin;  /* a session in the database that the user named; holds a lock */
    PGconn *conn;   /* a session in the demo's database */
    char *conninfo; /* of the demo's database */
    bool made;      /* the demo's database was made, and not dropped */
};

/* Drops the database of an earlier demo, makes a new one, and migrates it. */
bool base_open(struct base *b, const char *dsn);
void base_close(struct base *b);
bool base_drop(struct base *b);

/* Opens a session with a timeout for every statement. NULL: complained. */
PGconn *base_connect(const char *conninfo);

/* Counts how many jobs have ended, and how many have not. */
bool base_count(struct base *b, int64_t *ret_ended, int64_t *ret_live);

/* Reads the ids of the jobs that a killed worker holds, in order; to be freed. */
bool base_held(struct base *b, int worker, int64_t **ret_ids, size_t *ret_n);

/* The columns of base_results(), which reads all jobs, in order of id. NULL: complained. */
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

/* The name of a worker: of its sessions, and in awa.worker_list. */
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
    atomic_size_t held;         /* jobs that the killed worker holds, until they run again */
    atomic_bool stop, failed;
};

bool feed_start(struct feed *f);
void feed_stop(struct feed *f);

/* ---- demo_view.c: shows the progress --------------------------------------------------------- */

struct progress {
    int64_t total, done, retries;
    int64_t rate, mean_rate;     /* jobs per second, in the last second and since the start */
    int64_t byte_rate;           /* bytes per second, in the last second */
    int pickup_p50, pickup_p99;  /* ms */
    int64_t states[NOTE_STATES]; /* jobs; NOTE_NONE: available */
    const struct crew *crew;
};

struct view {
    int64_t start_ms, drawn_ms;
    bool terminal, color, utf8;
    int lines; /* how many are on the screen and will be erased */
};

void view_init(struct view *v);

/* Whether it is time to draw again. */
bool view_is_due(const struct view *v);
void view_draw(struct view *v, const struct progress *p);

/* Prints a line that stays, with the time. */
void view_event(struct view *v, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Prints a line that the next one replaces; only on a terminal. */
void view_status(struct view *v, const char *format, ...) __attribute__((format(printf, 2, 3)));
void view_erase(struct view *v);

/* What is on the screen is not erased any more. */
void view_keep(struct view *v);

/* ---- demo_watch.c: watches from the first job to the last ------------------------------------ */

/* How much was done at the time `ms`. */
struct sample {
    int64_t ms, done, bytes;
};

enum { SAMPLES = 9 }; /* the samples of one second */

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
    size_t nsamples;                /* how many were taken since the start */
    int killed;                     /* the worker that was killed; -1: none yet */
    int64_t killed_ms;
    int64_t *held; /* ids of the jobs that it held */
    size_t nheld;
    bool held_again; /* all of them have started again */
};

/* Waits for a signal that asks us to end. Returns its number, or 0 after timeout_ms. */
int signal_wait(int signal_fd, int timeout_ms);

/* Returns 0 when every job has ended, a signal's number, or -1: complained. */
int watch_run(struct watch *w);
void watch_done(struct watch *w);

/* Times from runnable to the handler, in ms: of all jobs, or of those that found no queue. */
struct pickups {
    int64_t n;
    int p50, p99;
};
void pickups_read(struct board *b, size_t jobs, bool no_queue, struct pickups *ret);

/* ---- demo_proof.c: checks the results -------------------------------------------------------- */

/*
 * Computes everything again without the queue, and compares. Returns 0 if all agrees, else what
 * watch_run() would.
 */
int proof_run(const struct list *list, const struct watch *w);

#endif
