/* SPDX-License-Identifier: MIT */
/*
 * The world of tests/engine/property.c: sessions, the model, and what both are asked for. Moves are
 * functions that do something to the database and to the model; what they find wrong, and what no
 * rule allows, is kept as trouble.
 */
#ifndef AWA_PROPERTY_WORLD_H
#define AWA_PROPERTY_WORLD_H

#include "test_jobs.h"
#include "verbs.h"

enum {
    SLOTS = 3,
    KINDS = 3,
    KEYS = 3,
    ROOM = 120,      /* jobs; a full house takes no more */
    WORKERS = 2,     /* alive at a time */
    PAST_MAX = 16,   /* ended attempts that are remembered */
    TAKEN_MAX = 512, /* claimed positions that are */
    LINES_MAX = 40,  /* of what was done last */
};

struct world {
    PGconn *db, *worker, *producer, *bulk;
    PGconn *operator;
    PGconn *late; /* a producer's, whose transaction stays open for a while */
    PGconn *held; /* an operator's that does */
    PGconn *old;  /* holds an old snapshot */
    struct model m;
    int slot; /* the current one */
    int step; /* how many moves have been tried */
    int64_t workers[WORKERS], last_worker;
    struct model_job past[PAST_MAX];
    int npast;
    struct taken {
        int64_t pos;
        int step;
    } taken[TAKEN_MAX];
    int ntaken;
    bool paused[MODEL_QUEUES], dlq[MODEL_QUEUES];
    bool follows;     /* from the end of each job another one follows */
    int64_t followed; /* how many have */

    /* Until which step they stay open; 0: they are not. */
    int late_until, held_until, old_until;
    struct model_job pending[4]; /* what the late producer has inserted */
    int npending;
    int64_t held_id;
    const struct verb *held_verb;
    int held_slot;    /* the current one when that began */
    char then[16384]; /* what the old snapshot saw */

    char sql[4000], answer[16384];
    bool failed; /* the last statement; its answer is an SQLSTATE */
    char lines[LINES_MAX][600];
    int nlines;
    bool loud, closely; /* each statement is shown; each step is looked at */
};

/* ---- Asking ------------------------------------------------------------------------------ */

/* The statement's rows, columns joined by '|', rows by a space; or its SQLSTATE. */
const char *try(struct world *w, PGconn *conn, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same; an error is trouble. */
const char *ask(struct world *w, PGconn *conn, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Counts the jobs that have followed, and takes them away. */
void count_followed(struct world *w);

/* The last answer must be this. */
void expect(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The engine agrees with itself, and with the model; with scan, so does what a scan finds. */
void compare(struct world *w, bool scan);
void compare_prepare(struct world *w);

/* So it does on an old snapshot, and what was seen there at first is what is seen now. */
void compare_old(struct world *w, bool scan);

/* ---- The rules of the model -------------------------------------------------------------- */

int below(unsigned *seed, int n);
bool chance(unsigned *seed, int n); /* one in n */

/* One of the jobs in these states, NULL if there is none. */
struct model_job *pick(struct world *w, unsigned *seed, unsigned states);

/* One of the table's verbs of a sort: by their weights, or each as likely as the others. */
const struct verb *pick_verb(unsigned *seed, enum verb_sort sort, bool weighed);

/* Whether no other live job holds its key. */
bool may_live(const struct world *w, const struct model_job *job);

/*
 * A verb of the table has acted on a job, or may have. The attempt of one that has run is history,
 * and a job that is gone is removed.
 */
void apply(struct world *w, const struct verb *v, struct model_job *job);
void may_apply(struct world *w, const struct verb *v, struct model_job *job);

/* ---- What moves have in common ----------------------------------------------------------- */

/* Rows of "id|claim|pos|slot|attempt": all must be what the model says can be claimed. */
int claimed(struct world *w, int64_t worker, int queue);
void hire(struct world *w, int which);

/* Ends of transactions that stay open for a while. */
void end_late(struct world *w, bool commit);
void end_held(struct world *w, bool commit);
void end_old(struct world *w);

/* ---- Moves ------------------------------------------------------------------------------- */

typedef void move(struct world *w, unsigned *seed);

move insert_one, insert_sql, insert_batch, insert_reserved, begin_late, roll_back;
move claim, complete, close_some, complete_inside, close_again;
move crash_one, crash_all, lose_claim, expire;
move on_one, on_many, retry_dead, retry_many_dead, delete_many, begin_held;
move drain, pause_or_resume, switch_dlq, seal;
move promote, rotate, empty_slot, fold, rebuild, poison, distrust, reset, sweep;
move begin_old, look;

#endif
