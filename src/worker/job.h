/* SPDX-License-Identifier: MIT */
/* A claimed job inside the worker, and the batch that it came in. */
#ifndef AWA_JOB_H
#define AWA_JOB_H

#include <pthread.h>
#include <stdatomic.h>

#include "pg/pg.h"

/* Under which number the worker had registered when it claimed. */
struct identity {
    int64_t id;     /* its secret: whoever knows it acts in its name */
    int64_t number; /* by which others know it */
    /* Owned by the I/O thread. */
    int64_t held;     /* jobs that have not been settled */
    int64_t in_doubt; /* claims whose answer was lost: they may hold jobs that we do not know of */
    bool asked;       /* a question about it is on the way */
    struct identity *next;
};

/* What one claim brought. Its texts live in the result, which goes with the last job. */
struct batch {
    PGresult *rows;
    struct awa_job *memory; /* of all jobs */
    struct identity *identity;
    int64_t claim_id;
    size_t n, unsettled;
    size_t bytes;           /* that all of it takes */
    size_t done;            /* simply completed, not yet told */
    struct batch *next;     /* in the worker's list, oldest first */
    struct awa_job *jobs[]; /* in order of position */
};

/* What the I/O thread knows of a job. */
enum job_phase {
    JOB_OUT,     /* claimed, and in the hands of the handlers */
    JOB_DONE,    /* ended; its end is not yet told */
    JOB_SENT,    /* its end is on the way to the database */
    JOB_SETTLED, /* the database has said what became of it */
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
};

/* Why an attempt should end; the first reason stays. */
enum cancel {
    CANCEL_NONE,     /* it need not */
    CANCEL_LOST,     /* the worker has lost the job: cancelled by an operator, or rescued */
    CANCEL_DEADLINE, /* it has passed */
    CANCEL_HURRY,    /* the worker stops and does not wait */
};

struct awa_job {
    struct awa_worker *worker;
    struct batch *batch;
    struct awa_job *next; /* in the list of its phase: todo, running or done */
    struct awa_job *prev; /* in running */
    const awa_kind *kind; /* NULL: this worker has no handler for it */
    const char *queue;
    int64_t id, pos, deadline_ms, enqueued_ms;
    int64_t started_at; /* monotonic ms */
    int row;            /* in batch->rows */
    int slot, attempt, max_attempts;
    enum job_phase phase; /* the I/O thread's */
    enum job_end end;
    bool wordy; /* has an output, an error or a delay to tell */
    bool has_delay;
    bool stripped;   /* its words were refused once and taken away */
    bool given_back; /* nothing was begun */
    bool trouble;    /* because of a trouble of this worker; error says which */
    int64_t delay_ms;
    char *error, *output;    /* owned */
    struct handler *handler; /* that runs it */
    PGconn *session;         /* of that thread, inside a transaction; borrowed */
    atomic_int cancelled;    /* enum cancel */
    atomic_int cancel_fd;    /* -1 until somebody asks for it */
};

/* Makes a batch of what awa.claim_jobs() returned; takes the result. NULL: out of memory. */
struct batch *batch_new(PGresult **rows, struct awa_worker *worker, struct identity *identity,
                        const char *queue);
void batch_free(struct batch *b);

/*
 * For a handler: nothing was begun, and that is not the job's fault; it goes back as it came, with
 * its attempt. why: what keeps this worker from beginning any job; then it claims none for a while,
 * and says so. NULL: nothing does. What the handler returns does not count any more.
 */
void job_give_back(struct awa_job *job, const char *why);

/* For a handler that may give jobs back: this one has begun. */
void job_begun(struct awa_job *job);

/* Raise the flag of a job, and its descriptor if it has one. Any thread. */
void job_cancel(struct awa_job *job, enum cancel why);

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
