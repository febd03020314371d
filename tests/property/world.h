/* SPDX-License-Identifier: MIT */
/*
 * The world of tests/engine/property.c: sessions, the model, and what both are asked for. Verbs are
 * functions that do something to the database and to the model; what they find wrong, and what no
 * rule allows, is kept as trouble.
 */
#ifndef AWA_PROPERTY_WORLD_H
#define AWA_PROPERTY_WORLD_H

#include "test_jobs.h"
#include "test_model.h"

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
    int step; /* how many verbs have been tried */
    int64_t workers[WORKERS], last_worker;
    struct model_job past[PAST_MAX];
    int npast;
    struct taken {
        int64_t pos;
        int step;
    } taken[TAKEN_MAX];
    int ntaken;
    bool paused[MODEL_QUEUES], dlq[MODEL_QUEUES];

    /* Until which step they stay open; 0: they are not. */
    int late_until, held_until, old_until;
    struct model_job pending[4]; /* what the late producer has inserted */
    int npending;
    int64_t held_id;
    enum model_state held_state; /* what becomes of it; MODEL_STATES: it is deleted */
    int held_slot;
    char then[16384]; /* what the old snapshot saw */

    char sql[4000], answer[16384];
    char lines[LINES_MAX][600];
    int nlines;
    bool loud, closely; /* each statement is shown; each step is looked at */
};

/* ---- Asking ------------------------------------------------------------------------------ */

/* The statement's rows, columns joined by '|', rows by a space; or "!" and its SQLSTATE. */
const char *try(struct world *w, PGconn *conn, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same; an error is trouble. */
const char *ask(struct world *w, PGconn *conn, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

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

/* Whether no other live job holds its key. */
bool may_live(const struct world *w, const struct model_job *job);

/* A job comes to a state. The attempt of one that has run is history. */
void become(struct world *w, struct model_job *job, enum model_state state, int slot);
void forget(struct world *w, struct model_job *job);
void begin_anew(struct world *w, struct model_job *job);
void defer(struct world *w, struct model_job *job, enum model_state state, int due);

/* An attempt ends as somebody asked, later by due hours if it is to run again. */
void end_attempt(struct world *w, struct model_job *job, const char *outcome, int due);

/* What get_job() and close_jobs() call the state of a job. */
const char *told_state(const struct model_job *job);

/* ---- What verbs have in common ----------------------------------------------------------- */

/* Rows of "id|claim|pos|slot|attempt": all must be what the model says can be claimed. */
int claimed(struct world *w, int64_t worker, int queue);
void hire(struct world *w, int which);

/* Ends of transactions that stay open for a while. */
void end_late(struct world *w, bool commit);
void end_held(struct world *w, bool commit);
void end_old(struct world *w);

/* ---- Verbs ------------------------------------------------------------------------------- */

typedef void verb(struct world *w, unsigned *seed);

verb insert_one, insert_sql, insert_batch, insert_reserved, begin_late, roll_back;
verb claim, complete, close_some, complete_inside, close_again;
verb crash_one, crash_all, lose_claim, expire;
verb cancel, retry, move, retry_dead, delete_one, begin_held;
verb retry_many, retry_many_dead, move_many, discard_many, delete_many;
verb drain, pause_or_resume, switch_dlq, seal;
verb promote, rotate, empty_slot, fold, rebuild, poison, distrust, reset, sweep;
verb begin_old, look;

#endif
