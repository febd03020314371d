/* SPDX-License-Identifier: MIT */
/*
 * What should be there: a model of the jobs, kept in memory by a test that knows what it did. It
 * asks the database nothing, so what is lost, doubled or in a wrong state is found even where all
 * functions of the engine agree with each other.
 */
#ifndef AWA_TEST_MODEL_H
#define AWA_TEST_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MODEL_QUEUES = 3, /* q0, q1, q2 */
    MODEL_JOBS_MAX = 1000,
    MODEL_NO_SLOT = -1,
};

/*
 * In the order of the columns of awa.queue_counts(); dead: in the dead-letter queue. The last are
 * no states of a job that is there.
 */
enum model_state {
    MODEL_AVAILABLE,
    MODEL_SCHEDULED,
    MODEL_RETRYABLE,
    MODEL_RUNNING,
    MODEL_WAITING_EXTERNAL,
    MODEL_COMPLETED,
    MODEL_FAILED,
    MODEL_CANCELLED,
    MODEL_DEAD,
    MODEL_STATES,
    MODEL_GONE = MODEL_STATES,
    MODEL_SAME, /* whatever it was */
};

/* Sets of states. */
#define MODEL_IN(state) (1u << (state))
#define MODEL_DEFERRED  (MODEL_IN(MODEL_SCHEDULED) | MODEL_IN(MODEL_RETRYABLE))
#define MODEL_ALIVE     (MODEL_IN(MODEL_AVAILABLE) | MODEL_IN(MODEL_RUNNING))
#define MODEL_LIVE      (MODEL_ALIVE | MODEL_DEFERRED)
#define MODEL_HISTORY \
    (MODEL_IN(MODEL_COMPLETED) | MODEL_IN(MODEL_FAILED) | MODEL_IN(MODEL_CANCELLED))
#define MODEL_ANY             (MODEL_IN(MODEL_STATES) - 1)
#define MODEL_IS(job, states) ((MODEL_IN((job)->state) & (states)) != 0)

struct model_job {
    int64_t id;
    enum model_state state;
    int attempt, max_attempts;
    int slot; /* where its entry lies, MODEL_NO_SLOT: in no slot */
    int queue, kind;
    int tag, key; /* 0: none */
    int due;      /* deferred: in how many hours */
    int ends;     /* how often it has ended */
    bool has_deadline;
    int since;                  /* available: from which step on; 0: its position is older */
    bool held;                  /* a transaction that is open has changed it */
    int64_t worker, claim, pos; /* running: its attempt, */
    int claim_slot;             /* and where the worker thinks that it is */

    /* Instead of what stands above it may also have come to this state, in this slot. */
    bool may;
    enum model_state may_state;
    int may_slot;
};

struct model {
    struct model_job jobs[MODEL_JOBS_MAX]; /* by id */
    int n;
    int64_t may_n;                   /* how many of those that may must */
    int64_t ends;                    /* how many jobs have ended, each as often as it has */
    int64_t pruned[MODEL_QUEUES][3]; /* completed, failed, cancelled */
    char trouble[2000];              /* what is wrong; empty: nothing */
};

extern const char *const model_states[MODEL_STATES];

/* The first trouble is kept. */
void model_trouble(struct model *m, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A copy of job is kept, in its place. */
void model_add(struct model *m, struct model_job job);
void model_remove(struct model *m, struct model_job *job);
struct model_job *model_find(struct model *m, int64_t id); /* NULL: not known */
int model_count(const struct model *m, unsigned states);

/* The jobs of a slot that is truncated are numbers from now on; none of them may live. */
void model_prune(struct model *m, int slot);

/*
 * Compares with what test.recount() found: the texts of its columns counts and jobs. Jobs that may
 * have changed have, or have not, from now on.
 */
void model_compare(struct model *m, const char *counts, const char *jobs);

#endif
