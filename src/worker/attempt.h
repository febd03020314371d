/* SPDX-License-Identifier: MIT */
/* A claimed job inside the worker: an attempt, and the batch that it came in. */
#ifndef AWA_WORKER_ATTEMPT_H
#define AWA_WORKER_ATTEMPT_H

#include <pthread.h>
#include <stdatomic.h>

#include "pg/pg.h"

/*
 * One registration of the worker. A batch belongs to the registration under which it was claimed.
 */
struct identity {
    int64_t id;     /* the secret: who knows it can act as this worker */
    int64_t number; /* the public number */
    /* Owned by the I/O thread. */
    int64_t held;     /* jobs that are not closed */
    int64_t in_doubt; /* claims whose answer was lost: they may hold jobs that we do not know of */
    bool asked;       /* a statement of identity_turn() is on the way */
    struct identity *next;
};

/*
 * The jobs of one claim. Their texts are in the result. All is freed once the last job is closed.
 */
struct batch {
    PGresult *rows;
    struct awa_attempt *memory; /* of all jobs */
    struct identity *identity;
    int64_t claim_id;
    size_t n, open;             /* open: how many are not closed */
    size_t bytes;               /* memory of the whole batch */
    size_t done;                /* how many simply completed and were not sent */
    struct batch *next;         /* in the worker's list, oldest first */
    struct awa_attempt *jobs[]; /* in order of position */
};

/* What the I/O thread knows about a job. */
enum job_phase {
    JOB_OUT,    /* claimed, and waiting or running */
    JOB_DONE,   /* ended; the end is not yet sent */
    JOB_SENT,   /* the end is on the way to the database */
    JOB_CLOSED, /* the database has answered, or nothing is to be sent */
};

/* How an attempt ended. The names that the database uses are in flush.c. */
enum job_end {
    END_COMPLETED,
    END_FAILED,
    END_CANCELLED,
    END_RETRIED,
    END_SNOOZED,
    END_RELEASED,
    END_EXPIRED,
    END_IN_TRANSACTION, /* completed by awa_attempt_transaction(); nothing to send */
    END_STALE,          /* the same, but the attempt had lost the job; nothing to send */
    END_SETTLED,        /* completed by a transaction of the program's own; to be looked up */
};

struct awa_attempt {
    struct awa_worker *worker;
    struct batch *batch;
    struct awa_attempt *next;           /* in its list: todo, running, done or detailed */
    struct awa_attempt *prev;           /* the same */
    struct awa_attempt *next_cancelled; /* in the worker's list of those that should end */
    bool known;                         /* its kind is one of this worker's */
    bool noted;                         /* it is in the list `cancelled` */
    const char *queue;
    int64_t id, pos, deadline_ms, enqueued_ms;
    int64_t started_at; /* monotonic ms; 0: not started */
    int row;            /* in batch->rows */
    int slot, attempt, max_attempts;
    enum job_phase phase; /* owned by the I/O thread */
    enum job_end end;
    bool detailed; /* is sent one by one: did not simply complete, or has an output */
    bool has_delay;
    bool stripped; /* its end was refused once, and its error and output were replaced */
    bool trouble;  /* this worker could not begin it; error says why */
    int64_t delay_ms;
    char *error, *output; /* owned; NULL: none */
    char *follow;         /* a JSON list of the jobs that it asked for; owned; NULL: none */
    int nfollow;
    PGconn *session;      /* of awa_attempt_transaction(), owned; NULL: none */
    atomic_int cancelled; /* awa_cancel */
    atomic_int cancel_fd; /* -1 until somebody asks for it */
};

/* Makes a batch of what awa.claim_jobs() returned; takes the result. NULL: out of memory. */
struct batch *batch_new(PGresult **rows, struct awa_worker *worker, struct identity *identity,
                        const char *queue);
void batch_free(struct batch *b);

/*
 * Tells an attempt that it should end: by its flag, and its descriptor if it has one. Only the
 * first call does anything. The caller holds the lock.
 */
void attempt_cancel(struct awa_attempt *attempt, awa_cancel why);

/* The columns of jobs_claim.sql. */
enum {
    COL_POS,
    COL_ID,
    COL_CLAIM,
    COL_SLOT,
    COL_ATTEMPT,
    COL_MAX_ATTEMPTS,
    COL_KIND,
    COL_ARGS,
    COL_METADATA,
    COL_ENQUEUED,
    COL_DEADLINE,
    COL_TAGS
};

#endif
