/* SPDX-License-Identifier: MIT */
/* A claimed job inside the worker: an attempt, and the batch that it came in. */
#ifndef AWA_WORKER_ATTEMPT_H
#define AWA_WORKER_ATTEMPT_H

#include <pthread.h>
#include <stdatomic.h>

#include "pg/pg.h"

/* Under which number the worker had registered when it claimed. */
struct identity {
    int64_t id;     /* its secret: whoever knows it acts in its name */
    int64_t number; /* by which others know it */
    /* Owned by the I/O thread. */
    int64_t held;     /* jobs that are not closed */
    int64_t in_doubt; /* claims whose answer was lost: they may hold jobs that we do not know of */
    bool asked;       /* a question about it is on the way */
    struct identity *next;
};

/* What one claim brought. Its texts live in the result, which goes with the last job. */
struct batch {
    PGresult *rows;
    struct awa_attempt *memory; /* of all jobs */
    struct identity *identity;
    int64_t claim_id;
    size_t n, open;
    size_t bytes;               /* that all of it takes */
    size_t done;                /* simply completed, not yet told */
    struct batch *next;         /* in the worker's list, oldest first */
    struct awa_attempt *jobs[]; /* in order of position */
};

/* What the I/O thread knows of a job. */
enum job_phase {
    JOB_OUT,    /* claimed, and waiting or running */
    JOB_DONE,   /* ended; its end is not yet told */
    JOB_SENT,   /* its end is on the way to the database */
    JOB_CLOSED, /* the database has said what became of it */
};

/* How a job ended, as the database calls it. The first needs no words. */
enum job_end {
    END_COMPLETED,
    END_FAILED,
    END_CANCELLED,
    END_RETRIED,
    END_SNOOZED,
    END_RELEASED,
    END_EXPIRED,
    END_IN_TRANSACTION, /* completed by the handler's own transaction; nothing to tell */
    END_STALE,          /* the same, but it had lost the job; nothing to tell */
    END_SETTLED,        /* completed by a transaction of the program's own; to be looked up */
};

struct awa_attempt {
    struct awa_worker *worker;
    struct batch *batch;
    struct awa_attempt *next;           /* in the list of its phase: todo, running or done */
    struct awa_attempt *prev;           /* in running */
    struct awa_attempt *next_cancelled; /* in the worker's list of those that should end */
    bool known;                         /* its kind is one of this worker's */
    bool noted;                         /* it is in that list */
    const char *queue;
    int64_t id, pos, deadline_ms, enqueued_ms;
    int64_t started_at; /* monotonic ms */
    int row;            /* in batch->rows */
    int slot, attempt, max_attempts;
    enum job_phase phase; /* the I/O thread's */
    enum job_end end;
    bool detailed; /* has an output, an error or a delay to tell */
    bool has_delay;
    bool stripped; /* its words were refused once and taken away */
    bool trouble;  /* it was not begun because of a trouble of this worker; error says which */
    int64_t delay_ms;
    char *error, *output; /* owned */
    PGconn *session;      /* its own, inside a transaction; NULL: it has none */
    atomic_int cancelled; /* awa_cancel */
    atomic_int cancel_fd; /* -1 until somebody asks for it */
};

/* Makes a batch of what awa.claim_jobs() returned; takes the result. NULL: out of memory. */
struct batch *batch_new(PGresult **rows, struct awa_worker *worker, struct identity *identity,
                        const char *queue);
void batch_free(struct batch *b);

/* Raises the flag of an attempt, and its descriptor if it has one. The caller holds the lock. */
void attempt_cancel(struct awa_attempt *attempt, awa_cancel why);

/* Where things stand in the rows of jobs_claim.sql. */
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
