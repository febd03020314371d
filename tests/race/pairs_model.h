/* SPDX-License-Identifier: MIT */
/*
 * What the engine's verbs are allowed to do to one job: a small state machine that knows nothing
 * of positions, marks and locks. A verb takes the world from one state to the next and says so in
 * its answer; or it is refused, in one of the ways that its documentation names.
 */
#ifndef AWA_PAIRS_MODEL_H
#define AWA_PAIRS_MODEL_H

#include <stdbool.h>
#include <stddef.h>

enum {
    TEXT_MAX = 200,   /* of an answer, of a world */
    REFUSALS_MAX = 3, /* of a verb */
};

enum job { GONE, WAITING, RUNNING, SCHEDULED, RETRYABLE, COMPLETED, FAILED, CANCELLED, DEAD };

/* Slots as the model numbers them. Slot 0 is sealed, and the one that is emptied. */
enum slot { SEALED, CURRENT, NEXT, NO_SLOT };

/* Who runs the job: worker 7, by the claim with which the test began or by another; or worker 8. */
enum holder { NOBODY, FIRST_CLAIM, WORKER_7, WORKER_8 };

struct world {
    enum job job;
    int attempt; /* as awa.jobs shows it: a running one counts */
    int max_attempts;
    enum holder holder;
    enum slot slot;
    enum slot current;
    bool dlq;             /* of the queue is on */
    bool paused;          /* the queue */
    bool ended;           /* worker 7 */
    bool retired;         /* worker 7 claims no more */
    int waiting, running; /* jobs that were inserted meanwhile */
    int known;            /* jobs in all, pruned ones included */
};

/* A way to say: not now. */
struct refusal {
    const char *answer;
    void (*effect)(struct world *w); /* what it leaves behind; NULL: nothing */
    bool alone;                      /* it may say so with nobody else about */
};

enum {
    SILENT = 1,  /* it acts, though not on a job */
    EMPTIES = 2, /* it is about whatever is in the sealed slot */
    PATIENT = 4, /* it waits for a lock, but not for ever */
};

struct verb {
    const char *name;
    const char *role;                    /* who may; NULL: whoever maintains the database */
    const char *sql;                     /* for test_attempt_sql() */
    const char *(*act)(struct world *w); /* returns the answer; changes nothing if it is an error */
    unsigned flags;
    const struct refusal *refusals; /* the last has no answer; NULL: none */
};

struct state {
    const char *name;
    const char *sql; /* the argument of test.begin() */
    struct world world;
};

extern const struct verb verbs[];
extern const size_t nverbs;
extern const struct state states[];
extern const size_t nstates;

/* A world in words, as test.finish() describes the database. */
void world_text(const struct world *w, char text[static TEXT_MAX]);

#endif
