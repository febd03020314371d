/* SPDX-License-Identifier: MIT */
/*
 * awa: a background job queue whose only server is PostgreSQL.
 *
 * This header is the whole public C API, grouped by task: errors, connect, insert, work, look and
 * administer. The rules of the queue are SQL functions in schema `awa`; the functions here call
 * them. JSON is passed as text. Times are milliseconds since 1970, durations are milliseconds.
 *
 * Ownership: a pointer that you pass in is borrowed for the call. What comes out through ret_ is
 * yours, and texts are to be freed with free(); where that differs, the function says so. What a
 * function returns directly is borrowed from its parent.
 */
#ifndef AWA_AWA_H
#define AWA_AWA_H

#include <stddef.h>
#include <stdint.h>

#include <libpq-fe.h>

#ifdef __cplusplus
extern "C" {
#endif

#define AWA_VERSION "0.2.0"

#if defined(__GNUC__)
#define AWA_API     __attribute__((visibility("default")))
#define AWA_CHECKED __attribute__((warn_unused_result))
#else
#define AWA_API
#define AWA_CHECKED
#endif

/* ---- Errors ------------------------------------------------------------------------------ */

#define AWA_STATUS_MAP(X)                                          \
    X(OK, "success")                                               \
    X(EINVAL, "the caller broke the contract of the function")     \
    X(ENOMEM, "out of memory")                                     \
    X(EBUSY, "too much is in flight already; try again later")     \
    X(ECONN, "the session is gone; reconnect and repeat the call") \
    X(EDB, "the database refused the statement; see sqlstate")     \
    X(ENOTFOUND, "there is no such job, queue or schedule")        \
    X(ESTALE, "this attempt does not hold the job any more")       \
    X(EEXISTS, "a live job holds this unique key")                 \
    X(ESCHEMA, "library and schema do not fit; run awa migrate")   \
    X(ESYS, "the operating system refused; see the message")

typedef enum awa_status {
#define X(name, text) AWA_##name,
    AWA_STATUS_MAP(X)
#undef X
} awa_status;

/* Filled on failure only. The caller provides it, on the stack or elsewhere; it owns no memory. */
typedef struct awa_error {
    awa_status status;
    char sqlstate[6]; /* as Postgres reported it; "": it reported none */
    char message[250];
} awa_error;

/* Says in words what a status means. Never NULL. */
AWA_API const char *awa_status_text(awa_status status);

/* The version of the library that is linked, which may differ from AWA_VERSION of this header. */
AWA_API const char *awa_version(void);

/* ---- Connect ----------------------------------------------------------------------------- */

/*
 * Opens a session with timeouts on both ends: connect timeout, keepalives and tcp_user_timeout on
 * this side; client_connection_check_interval and idle_in_transaction_session_timeout on the
 * server's; jit off. The connection string, the service file and PGOPTIONS override these, except
 * for client_encoding, which is always UTF8. Behind a pooler nothing is set on the server's side,
 * because other clients would get the settings, too. conninfo is a libpq string or URI; NULL means
 * the PG* variables. The caller ends the session with PQfinish(). Returns ECONN or ENOMEM.
 */
AWA_API AWA_CHECKED awa_status awa_connect(const char *conninfo, PGconn **ret_conn,
                                           awa_error *reterr);

/* ---- Insert ------------------------------------------------------------------------------ */

/*
 * A job to insert. Only kind is required; 0 and NULL mean "the default", which awa.insert_job()
 * defines. Build a single one with AWA_JOB(.kind = "mail", ...); in an array, set .size of each.
 */
typedef struct awa_job_options {
    size_t size;             /* set by AWA_JOB() */
    const char *kind;        /* 1 to 200 bytes */
    const char *args_json;   /* any JSON value, at most 1 MiB; NULL means {} */
    const char *queue;       /* 1 to 200 bytes; NULL means "default" */
    int64_t priority;        /* 1 (most urgent) to 4; 0 means 2 */
    int64_t max_attempts;    /* 1 to 1000; 0 means 25 */
    int64_t run_at_ms;       /* runs not before this time; 0 means now */
    int64_t delay_ms;        /* runs not before now + delay; excludes run_at_ms */
    const char *const *tags; /* ntags strings, at most 20 */
    size_t ntags;
    const char *metadata_json; /* a JSON object; NULL means none */
    const char *unique_key;    /* the job is refused while a live job holds the same key */
    const char *ordering_key;  /* jobs with one key are claimed in order; see below */
    int64_t max_run_ms;        /* how long an attempt may take; 0 means the queue's deadline */
    const char *follow_json;   /* what is inserted when it ends, see below; NULL means nothing */
} awa_job_options;

/*
 * An ordering key keeps its jobs in one shard of their queue and priority, so they are claimed in
 * the order in which they were inserted. (An exception are the very first jobs of a queue, if
 * concurrent transactions insert them.) This orders claims only: two jobs with one key may run at
 * the same time, and a job that is retried comes later. In a queue with one shard, the default, the
 * key changes nothing.
 */
#define AWA_JOB(...) (&(awa_job_options){ .size = sizeof(awa_job_options), __VA_ARGS__ })

/*
 * Follow-ups are a JSON list of at most 10 objects {"on": EVENT, "job": JOB}. EVENT is completed,
 * failed, cancelled, ended (any of these), retried or rescued. JOB has kind, args, queue, priority,
 * max_attempts, delay_ms, tags, metadata, unique_key, ordering_key, max_run_ms, follow. In args,
 * {"$path": "$.output.url"} stands for a part of {"job": {...}, "output": ..., "error": ...,
 * "outcome": ...} of the job that ended. They are inserted in the transaction that ends the job,
 * whoever ends it, exactly once.
 */

/*
 * Inserts one job, inside the caller's transaction if there is one, at any isolation level. ret_id
 * may be NULL. Returns EEXISTS if a live job holds the unique key. Texts are UTF-8: a session with
 * another client_encoding is refused with EINVAL, here and below.
 */
AWA_API AWA_CHECKED awa_status awa_job_insert(PGconn *conn, const awa_job_options *job,
                                              int64_t *ret_id, awa_error *reterr);

/*
 * Inserts n jobs in one statement: all of them or none. A duplicate of a unique key is no error: it
 * is not inserted, and its ret_ids[i] becomes 0. The error names the index of the first bad job.
 * ret_ids is NULL or has room for n.
 */
AWA_API AWA_CHECKED awa_status awa_jobs_insert(PGconn *conn, const awa_job_options *jobs, size_t n,
                                               int64_t *ret_ids, awa_error *reterr);

/*
 * Does the same by binary COPY, which is the fastest way for many jobs at once. Needs the role
 * awa_bulk_producer. Opens a transaction of its own if the caller has none.
 */
AWA_API AWA_CHECKED awa_status awa_jobs_copy(PGconn *conn, const awa_job_options *jobs, size_t n,
                                             int64_t *ret_ids, awa_error *reterr);

/* ---- Work -------------------------------------------------------------------------------- */

typedef struct awa_worker awa_worker;   /* opaque */
typedef struct awa_attempt awa_attempt; /* opaque; one run of a job, from the claim to its end */

/* How an attempt ends. */
typedef enum awa_outcome {
    AWA_COMPLETE = 0, /* done */
    AWA_RETRY,        /* failed this time; runs again after backoff while attempts are left */
    AWA_FAIL,         /* failed for good */
    AWA_CANCEL,       /* the job need not be done any more */
    AWA_SNOOZE,       /* runs again later, costs no attempt; see awa_attempt_set_delay() */
    AWA_SETTLED,      /* completed by awa.complete_job() in a transaction of the caller's own */
    AWA_RELEASE,      /* was not begun; goes back, costs no attempt; see awa_attempt_begun() */
} awa_outcome;

/* Runs a job, in a handler thread. May block. Must not keep `attempt` after it has returned. */
typedef awa_outcome awa_handler(awa_attempt *attempt, void *userdata);

/* Gets a line of the worker's log, without a newline. Several threads may call it at once. */
typedef void awa_log(void *userdata, const char *line);

/*
 * A kind of job that a worker can run. Either every kind has a handler, which threads of the
 * library call, or none has one: then the program takes the attempts itself, by awa_worker_take().
 */
typedef struct awa_kind {
    const char *kind;     /* NULL: all kinds that have no entry of their own */
    awa_handler *handler; /* NULL: awa_worker_take() hands out its attempts */
    void *userdata;
} awa_kind;

typedef struct awa_worker_options {
    size_t size;               /* set by AWA_WORKER() */
    const char *conninfo;      /* libpq string or URI; NULL means the PG* variables */
    const char *name;          /* shown to operators; NULL means host:pid */
    const char *const *queues; /* nqueues names; none means "default" */
    size_t nqueues;
    const awa_kind *kinds; /* nkinds of them; none: every kind, and the program takes attempts */
    size_t nkinds;
    int64_t threads;   /* handler threads, at most 1024; without handlers: how many attempts the
                          program wants to hold, at most 100000; 0 means one for each CPU */
    int64_t batch;     /* claim at most this many jobs at once, 1 to 10000; 0 means 1000 */
    int64_t prefetch;  /* hold up to this many unstarted jobs; 0: what 50 ms need; -1: none */
    int64_t poll_ms;   /* longest pause between looks for work, 10 to 60000; 0 means 2000 */
    int64_t no_leader; /* 1: never do the maintenance of the queue */
    int64_t pooled;    /* 1: a transaction pooler stands in between, which awa cannot detect */
    awa_log *log;      /* NULL: nothing is logged */
    void *log_userdata;
} awa_worker_options;

#define AWA_WORKER(...) (&(awa_worker_options){ .size = sizeof(awa_worker_options), __VA_ARGS__ })

/* Makes a worker: copies the options, connects, checks the schema, registers. Starts no thread. */
AWA_API AWA_CHECKED awa_status awa_worker_new(const awa_worker_options *options,
                                              awa_worker **ret_worker, awa_error *reterr);

/* Starts the threads. Lost sessions are replaced, with backoff, without a limit of tries. */
AWA_API AWA_CHECKED awa_status awa_worker_start(awa_worker *worker, awa_error *reterr);

/*
 * Stops claiming, gives unstarted jobs back at the cost of no attempt, and lets running ones
 * finish; awa_worker_take() hands out no more. Returns at once. Any thread may call it, but no
 * signal handler.
 */
AWA_API void awa_worker_drain(awa_worker *worker);

/*
 * Drains, and waits up to timeout_ms (-1: without limit) until every end is durable. Returns EBUSY
 * if jobs still run by then: they are marked as cancelled, and go to another worker when this one
 * is freed, unless they have ended before.
 */
AWA_API AWA_CHECKED awa_status awa_worker_stop(awa_worker *worker, int64_t timeout_ms,
                                               awa_error *reterr);

/*
 * Ends and frees a worker. Accepts NULL, returns NULL. Waits for running handlers, to whom
 * awa_attempt_cancelled() says that they should end. Does not wait for attempts that the program
 * has taken: they go to other workers, and must not be used any more.
 */
AWA_API awa_worker *awa_worker_free(awa_worker *worker);

/*
 * Whether nothing is due in the worker's queues and it holds no jobs. Call it repeatedly, from one
 * thread, until *ret_empty is 1: the first look never says so. It promotes jobs that are due and
 * rescues those of dead workers, unless the worker never leads. Jobs that other workers run do not
 * count.
 */
AWA_API AWA_CHECKED awa_status awa_worker_is_empty(awa_worker *worker, int *ret_empty,
                                                   awa_error *reterr);

/*
 * Waits up to timeout_ms (-1: without limit) until awa_worker_is_empty() says 1. Returns EBUSY
 * after that time, EINVAL if the worker was not started.
 */
AWA_API AWA_CHECKED awa_status awa_worker_run_until_empty(awa_worker *worker, int64_t timeout_ms,
                                                          awa_error *reterr);

/* Counts of one worker, since it was made; those with "now" say how many there are now. */
typedef struct awa_worker_stats {
    size_t size; /* set by the caller */
    int64_t claimed;
    int64_t completed; /* durable, by this worker */
    int64_t failed;    /* durable: retried, failed, cancelled, snoozed, expired */
    int64_t released;  /* given back unstarted */
    int64_t stale;     /* ends that were refused: the attempt had lost its job */
    int64_t running;   /* now: in handlers, or taken by the program */
    int64_t waiting;   /* now: claimed but not started */
    int64_t reconnects;
    int64_t queries;  /* statements sent */
    int64_t in_doubt; /* now: claims without an answer, on their way or lost and not yet undone */
} awa_worker_stats;

AWA_API void awa_worker_get_stats(awa_worker *worker, awa_worker_stats *stats);

/*
 * The pull door, for programs with threads or an event loop of their own. An attempt that was taken
 * is running until awa_attempt_end(). Any thread may take attempts, and any thread may end them.
 *
 * awa_worker_take() waits up to timeout_ms for an attempt (-1: without limit, 0: not at all);
 * *ret_attempt is NULL if none came. Returns ENOTFOUND once the worker drains: no more will come.
 */
AWA_API AWA_CHECKED awa_status awa_worker_take(awa_worker *worker, int64_t timeout_ms,
                                               awa_attempt **ret_attempt, awa_error *reterr);

/* Takes up to max attempts at once, but leaves a fair share to the other slots of the worker. */
AWA_API AWA_CHECKED awa_status awa_worker_take_many(awa_worker *worker, int64_t timeout_ms,
                                                    awa_attempt **ret_attempts, size_t max,
                                                    size_t *ret_n, awa_error *reterr);

/*
 * Ends an attempt, and sets *attempt to NULL. The end is durable some milliseconds later. If there
 * is a transaction of awa_attempt_transaction(), this commits it with AWA_COMPLETE, else rolls it
 * back, and waits for that. AWA_SETTLED is looked up: if the caller's transaction did not commit,
 * the job is retried. awa_attempts_end() ends n attempts of one worker.
 */
AWA_API void awa_attempt_end(awa_attempt **attempt, awa_outcome outcome);
AWA_API void awa_attempts_end(awa_attempt **attempts, const awa_outcome *outcomes, size_t n);

/*
 * A descriptor that is readable while there is something to take, while
 * awa_worker_next_cancelled() has an attempt that should end, and once the worker drains. Only poll
 * it. It lives as long as the worker. Returns -1 on failure.
 */
AWA_API int awa_worker_fd(awa_worker *worker);

/*
 * Returns an attempt that was taken and should end, each of them once; NULL: there is none. Another
 * thread might end the attempt meanwhile, so call this in the thread that ends attempts.
 */
AWA_API awa_attempt *awa_worker_next_cancelled(awa_worker *worker);

/*
 * Sets how many attempts the program wants to hold from now on, 0 to 100000. With 0 nothing is
 * claimed, and unstarted jobs go back. EINVAL for a worker with handlers.
 */
AWA_API AWA_CHECKED awa_status awa_worker_set_slots(awa_worker *worker, int64_t slots,
                                                    awa_error *reterr);

/* The job of an attempt. Texts are borrowed from the attempt. */
AWA_API int64_t awa_attempt_id(const awa_attempt *attempt); /* of the job */
AWA_API const char *awa_attempt_kind(const awa_attempt *attempt);
AWA_API const char *awa_attempt_queue(const awa_attempt *attempt);
AWA_API const char *awa_attempt_args(const awa_attempt *attempt,
                                     size_t *ret_length);             /* JSON text */
AWA_API const char *awa_attempt_metadata(const awa_attempt *attempt); /* JSON text or NULL */
AWA_API size_t awa_attempt_ntags(const awa_attempt *attempt);
AWA_API const char *awa_attempt_tag(const awa_attempt *attempt, size_t i); /* NULL from ntags on */
AWA_API int64_t awa_attempt_number(const awa_attempt *attempt);            /* 1, 2, ... */
AWA_API int64_t awa_attempt_max_attempts(const awa_attempt *attempt);
AWA_API int64_t awa_attempt_enqueued_ms(const awa_attempt *attempt); /* became runnable */
AWA_API int64_t awa_attempt_deadline_ms(const awa_attempt *attempt); /* 0: none */

/*
 * The arguments by which awa.complete_job() knows the attempt. The worker's number is a secret: who
 * has it can act as this worker.
 */
AWA_API int64_t awa_attempt_worker(const awa_attempt *attempt);
AWA_API int64_t awa_attempt_run_lease(const awa_attempt *attempt);
AWA_API int64_t awa_attempt_position(const awa_attempt *attempt);

/* Why an attempt should end; the first reason stays. */
typedef enum awa_cancel {
    AWA_GO_ON = 0,       /* it need not */
    AWA_CANCEL_LOST,     /* the job was cancelled or deleted, or rescued from this worker */
    AWA_CANCEL_DEADLINE, /* its deadline has passed */
    AWA_CANCEL_STOPPING, /* the worker stops and does not wait */
} awa_cancel;

/*
 * Whether this attempt should end, and why. A handler that then gives up returns AWA_RETRY. After
 * the deadline, unless the handler has set a delay, the attempt then counts as expired, and the job
 * runs again at once while attempts are left.
 */
AWA_API awa_cancel awa_attempt_cancelled(const awa_attempt *attempt);

/* A descriptor that becomes readable when the attempt should end; -1 on failure. */
AWA_API int awa_attempt_cancel_fd(awa_attempt *attempt);

/*
 * Sets the result of the job: one JSON value, at most 1 MiB, which is kept when the job ends. Text
 * that is no JSON is kept as {"stdout": text}. Returns EINVAL if it is longer, or ENOMEM.
 */
AWA_API AWA_CHECKED awa_status awa_attempt_set_output(awa_attempt *attempt, const char *json,
                                                      size_t length);

/*
 * Asks for a job that is inserted in the transaction that writes the end of this attempt, whatever
 * its outcome is: at most 10 of them. Not at all if the attempt has lost its job, if the
 * transaction of awa_attempt_transaction() does not commit, or with AWA_SETTLED. If the database
 * refuses one (its args are no JSON, say), the job is retried. run_at_ms cannot be given. Returns
 * EINVAL or ENOMEM.
 */
AWA_API AWA_CHECKED awa_status awa_attempt_follow(awa_attempt *attempt, const awa_job_options *job,
                                                  awa_error *reterr);

/*
 * Sets the error, in words; with AWA_RETRY, AWA_FAIL and AWA_CANCEL up to 8 KiB of it are kept.
 * With AWA_RELEASE it says why this worker cannot begin any job: the worker then claims none for a
 * while, and logs the error. Returns EINVAL or ENOMEM.
 */
AWA_API AWA_CHECKED awa_status awa_attempt_set_error(awa_attempt *attempt, const char *text);

/*
 * Sets the delay before the job runs again: with AWA_RETRY instead of the backoff, with AWA_SNOOZE
 * and AWA_RELEASE instead of none.
 */
AWA_API void awa_attempt_set_delay(awa_attempt *attempt, int64_t delay_ms);

/*
 * Says that this attempt has begun. For programs that release attempts with an error, because they
 * cannot begin jobs: the worker then claims few, and one more for each that has begun.
 */
AWA_API void awa_attempt_begun(awa_attempt *attempt);

/*
 * Gives a session for this attempt, inside an open transaction. If the attempt then ends with
 * AWA_COMPLETE, the job is completed in this transaction, and both commit together or not at all;
 * any other outcome rolls it back. The worker keeps the session: do not commit or close it.
 */
AWA_API AWA_CHECKED awa_status awa_attempt_transaction(awa_attempt *attempt, PGconn **ret_conn,
                                                       awa_error *reterr);

/* ---- Look -------------------------------------------------------------------------------- */

/*
 * An answer is one JSON text, the same that the commands print with --json. Numbers in it that may
 * pass 2^53 are strings. Free the text with free(). A login with the role awa_viewer or
 * awa_operator may call these functions.
 */

/*
 * One job, as a row of awa.jobs. Returns ENOTFOUND if it is not known, or ended so long ago that it
 * is gone.
 */
AWA_API AWA_CHECKED awa_status awa_job_get(PGconn *conn, int64_t id, char **ret_json,
                                           awa_error *reterr);

/*
 * Why a job does not run, or where it is now: a list of {finding, since, hint}. ENOTFOUND as above.
 */
AWA_API AWA_CHECKED awa_status awa_job_explain(PGconn *conn, int64_t id, char **ret_json,
                                               awa_error *reterr);

/*
 * Waits until a job has ended, timeout_ms at most (negative: for ever), and then gives it as
 * awa_job_get() does, and whether it completed. A job in the dead-letter queue has ended. Asks
 * after 5 ms first, then ever less often, after half a second at last. Returns EBUSY if it has not
 * ended in time, ENOTFOUND as above, also if it is forgotten meanwhile. Not inside a transaction
 * that began before the job ended: it would not see it.
 */
AWA_API AWA_CHECKED awa_status awa_job_wait(PGconn *conn, int64_t id, int64_t timeout_ms,
                                            char **ret_json, int *ret_completed, awa_error *reterr);

/* All that is stored about a job: attempts, workers, claims, place. ENOTFOUND as above. */
AWA_API AWA_CHECKED awa_status awa_job_dump(PGconn *conn, int64_t id, char **ret_json,
                                            awa_error *reterr);

/* Which jobs a list has; 0 and NULL mean "any". */
typedef struct awa_list_options {
    size_t size;        /* set by AWA_LIST() */
    const char *state;  /* awa_jobs_list(): available, scheduled, running, retryable, failed, ... */
    const char *kind;   /* of this kind */
    const char *queue;  /* in this queue */
    const char *tag;    /* with this tag */
    const char *reason; /* awa_dlq_list(): dead for this reason */
    int64_t from_ms;    /* awa_dlq_list(): dead since then */
    int64_t to_ms;      /* awa_dlq_list(): and before that */
    const char *before; /* *ret_next of the page before; NULL: the first page */
    int64_t limit;      /* at most so many, 1 to 10000; 0 means 100 */
} awa_list_options;

#define AWA_LIST(...) (&(awa_list_options){ .size = sizeof(awa_list_options), __VA_ARGS__ })

/*
 * Lists jobs, the newest id first, or dead letters, the newest first. options and ret_next may be
 * NULL. *ret_next is the cursor of the next page, yours to free, or NULL if there is none. A cursor
 * stays valid while jobs come and go.
 */
AWA_API AWA_CHECKED awa_status awa_jobs_list(PGconn *conn, const awa_list_options *options,
                                             char **ret_json, char **ret_next, awa_error *reterr);
AWA_API AWA_CHECKED awa_status awa_dlq_list(PGconn *conn, const awa_list_options *options,
                                            char **ret_json, char **ret_next, awa_error *reterr);

/*
 * How many dead letters a queue has, and since when: a list. queue NULL: all queues that have dead
 * letters.
 */
AWA_API AWA_CHECKED awa_status awa_dlq_depth(PGconn *conn, const char *queue, char **ret_json,
                                             awa_error *reterr);

/*
 * How many jobs a queue has in each state; queue NULL: each queue. awa_queue_counts() counts
 * exactly and gives a list. awa_queue_gauges() has a bounded cost, may be 5 s old, and gives an
 * object that says which bound each number is. Returns ENOTFOUND if the queue is not known.
 */
AWA_API AWA_CHECKED awa_status awa_queue_counts(PGconn *conn, const char *queue, char **ret_json,
                                                awa_error *reterr);
AWA_API AWA_CHECKED awa_status awa_queue_gauges(PGconn *conn, const char *queue, char **ret_json,
                                                awa_error *reterr);

/*
 * Lists queues with their settings; the common settings; rules for follow-ups; workers, with
 * `ended` also those that have ended in the last hour.
 */
AWA_API AWA_CHECKED awa_status awa_queues_list(PGconn *conn, char **ret_json, awa_error *reterr);
AWA_API AWA_CHECKED awa_status awa_defaults_get(PGconn *conn, char **ret_json, awa_error *reterr);
AWA_API AWA_CHECKED awa_status awa_follow_rules_list(PGconn *conn, char **ret_json,
                                                     awa_error *reterr);
AWA_API AWA_CHECKED awa_status awa_workers_list(PGconn *conn, int ended, char **ret_json,
                                                awa_error *reterr);

/* Checks the whole system; *ret_well is 1 if nothing is wrong. Either ret_ may be NULL. */
AWA_API AWA_CHECKED awa_status awa_health(PGconn *conn, int *ret_well, char **ret_json,
                                          awa_error *reterr);

/* Numbers about the storage, and the counts and gauges of all queues together. */
AWA_API AWA_CHECKED awa_status awa_storage_status(PGconn *conn, char **ret_json, awa_error *reterr);

/* The time on the server, by which jobs become due. */
AWA_API AWA_CHECKED awa_status awa_server_time(PGconn *conn, int64_t *ret_ms, awa_error *reterr);

/* ---- Administer -------------------------------------------------------------------------- */

/*
 * Creates or upgrades schema awa in one transaction, and repairs what differs from what awa has
 * made: roles, owners, rights, functions. If the database was restored or copied, a second
 * transaction compares tables with sequences and the like; `awa migrate` always does that. Returns
 * ESCHEMA if the schema is newer than this library or lacks tables, EINVAL inside a transaction or
 * if the database's encoding is not UTF8.
 */
AWA_API AWA_CHECKED awa_status awa_migrate(PGconn *conn, awa_error *reterr);

/*
 * Cancels a job in any live state. reason is kept with the job; NULL means "cancelled by an
 * operator". Returns ENOTFOUND if the job is not known or has ended, EBUSY if it keeps changing its
 * state meanwhile, EINVAL inside a transaction that is not READ COMMITTED.
 */
AWA_API AWA_CHECKED awa_status awa_job_cancel(PGconn *conn, int64_t id, const char *reason,
                                              awa_error *reterr);

/*
 * Cancels the live job that holds a unique key. ret_id may be NULL. Returns ENOTFOUND if no live
 * job holds it, else as above.
 */
AWA_API AWA_CHECKED awa_status awa_job_cancel_by_key(PGconn *conn, const char *unique_key,
                                                     const char *reason, int64_t *ret_id,
                                                     awa_error *reterr);

/*
 * Makes a failed or cancelled job runnable again, from attempt 0; makes a deferred job due now.
 * Returns ENOTFOUND for every other job, also for one in the dead-letter queue; EEXISTS if a newer
 * job holds its unique key; EBUSY and EINVAL as above.
 */
AWA_API AWA_CHECKED awa_status awa_job_retry(PGconn *conn, int64_t id, awa_error *reterr);

/*
 * Deletes a job in any state; the worker of a running job is told. Returns ENOTFOUND if the job is
 * not known, EBUSY while another transaction changes it.
 */
AWA_API AWA_CHECKED awa_status awa_job_delete(PGconn *conn, int64_t id, awa_error *reterr);

/* Stops claims from a queue, and allows them again. Running jobs go on. */
AWA_API AWA_CHECKED awa_status awa_queue_pause(PGconn *conn, const char *queue, awa_error *reterr);
AWA_API AWA_CHECKED awa_status awa_queue_resume(PGconn *conn, const char *queue, awa_error *reterr);

/*
 * Cancels up to limit, 1 to 10000, of the jobs that wait in a queue. To cancel all of them, repeat
 * the call until *ret_n is less than limit.
 */
AWA_API AWA_CHECKED awa_status awa_queue_drain(PGconn *conn, const char *queue, int64_t limit,
                                               int64_t *ret_n, awa_error *reterr);

/*
 * Removes a queue: its settings at once, its counts when the history of its jobs has gone. Returns
 * ENOTFOUND, or EBUSY while the queue has jobs that have not ended, dead letters, or workers.
 */
AWA_API AWA_CHECKED awa_status awa_queue_remove(PGconn *conn, const char *queue, awa_error *reterr);

/* A standing rule: when a job of this queue and kind ends so, that job follows. */
typedef struct awa_follow_rule {
    size_t size;          /* set by AWA_FOLLOW_RULE() */
    const char *name;     /* 1 to 200 bytes */
    const char *on;       /* the event, see AWA_JOB() */
    const char *job_json; /* the job, see AWA_JOB() */
    const char *queue;    /* NULL: of any queue */
    const char *kind;     /* NULL: of any kind */
} awa_follow_rule;

#define AWA_FOLLOW_RULE(...) (&(awa_follow_rule){ .size = sizeof(awa_follow_rule), __VA_ARGS__ })

/*
 * Makes or changes a rule, for jobs that end from now on; removes one, or returns ENOTFOUND. There
 * are at most 1000. They need the role awa_operator.
 */
AWA_API AWA_CHECKED awa_status awa_follow_rule_set(PGconn *conn, const awa_follow_rule *rule,
                                                   awa_error *reterr);
AWA_API AWA_CHECKED awa_status awa_follow_rule_remove(PGconn *conn, const char *name,
                                                      awa_error *reterr);

/*
 * DEFAULT: the queue has no setting of its own any more, so the common one counts. NONE: a duration
 * of 0, or a switch that is off.
 */
enum { AWA_SETTING_DEFAULT = -1, AWA_SETTING_NONE = -2 };

/* Settings; durations in ms. 0 leaves a setting as it is. */
typedef struct awa_settings {
    size_t size;            /* set by AWA_SETTINGS() */
    int64_t enqueue_shards; /* lanes for each priority, 1 to 64; not a common setting */
    int64_t deadline_ms;    /* how long an attempt may take; NONE: without limit */
    int64_t aging_ms;       /* after so long a job counts as one priority higher; NONE: never */
    int64_t dlq;            /* 1: failed jobs go to the dead-letter queue; NONE: they do not */
    int64_t completed_retention_ms; /* how long completed and cancelled jobs are kept */
    int64_t failed_retention_ms;    /* how long failed jobs can be retried */
    int64_t dlq_retention_ms;       /* how long dead letters are kept */
} awa_settings;

#define AWA_SETTINGS(...) (&(awa_settings){ .size = sizeof(awa_settings), __VA_ARGS__ })

/*
 * Change the settings of a queue, which is made if it does not exist; and the common settings,
 * which count where a queue has none of its own.
 */
AWA_API AWA_CHECKED awa_status awa_queue_set(PGconn *conn, const char *queue,
                                             const awa_settings *settings, awa_error *reterr);
AWA_API AWA_CHECKED awa_status awa_defaults_set(PGconn *conn, const awa_settings *settings,
                                                awa_error *reterr);

/*
 * Which jobs a bulk call changes, and how. In a filter, 0 and NULL mean "any"; in what is changed,
 * "as it is". A call needs a filter or .all. It refuses with EINVAL an option that it does not
 * take, such as .to_queue in a call that deletes jobs.
 */
typedef struct awa_bulk_options {
    size_t size;          /* set by AWA_BULK() */
    const char *kind;     /* filter: of this kind */
    const char *queue;    /* filter: in this queue */
    const char *tag;      /* filter: with this tag */
    int64_t all;          /* 1: all jobs, if there is no filter */
    int64_t limit;        /* at most so many in this call, 1 to 10000; 0 means 1000 */
    int64_t before;       /* only ids below this: next_before of the call before */
    int64_t dry_run;      /* 1: change nothing */
    const char *reason;   /* filter of dead letters; awa_failed_move(): is kept with the jobs */
    int64_t from_ms;      /* filter of dead letters: dead since then */
    int64_t to_ms;        /* filter of dead letters: and before that */
    int64_t run_at_ms;    /* awa_dlq_*retry(): the jobs run not before this time */
    int64_t delay_ms;     /* the same: not before now + delay; excludes run_at_ms */
    const char *to_queue; /* the same: in this queue */
    int64_t to_priority;  /* the same: with this priority, 1 to 4 */
} awa_bulk_options;

#define AWA_BULK(...) (&(awa_bulk_options){ .size = sizeof(awa_bulk_options), __VA_ARGS__ })

enum { AWA_SAMPLE_MAX = 10 };

/* What one call did. */
typedef struct awa_bulk_result {
    size_t size;         /* set by the caller */
    int64_t matched;     /* jobs that it found */
    int64_t changed;     /* how many of these it retried, moved or deleted */
    int64_t conflicts;   /* how many stay as they are: a newer job holds their unique key */
    int64_t next_before; /* .before of the next call, for there may be more; 0: there is no more */
    int64_t nsample;     /* how many ids are in sample[]: of the first jobs that matched */
    int64_t sample[AWA_SAMPLE_MAX];
} awa_bulk_result;

/*
 * Each call changes up to .limit jobs, the newest id first, in the caller's transaction or one of
 * its own. To change all that match, repeat it with .before until next_before is 0. result may be
 * NULL. Bulk calls wait for each other. They return EINVAL inside a transaction that is not READ
 * COMMITTED.
 *
 * These are for failed jobs that are not in the dead-letter queue: run them again from attempt 0,
 * delete them, move them into the dead-letter queue.
 */
AWA_API AWA_CHECKED awa_status awa_failed_retry(PGconn *conn, const awa_bulk_options *options,
                                                awa_bulk_result *result, awa_error *reterr);
AWA_API AWA_CHECKED awa_status awa_failed_discard(PGconn *conn, const awa_bulk_options *options,
                                                  awa_bulk_result *result, awa_error *reterr);
AWA_API AWA_CHECKED awa_status awa_failed_move(PGconn *conn, const awa_bulk_options *options,
                                               awa_bulk_result *result, awa_error *reterr);

/* For jobs in the dead-letter queue: run them again from attempt 0, delete them. */
AWA_API AWA_CHECKED awa_status awa_dlq_jobs_retry(PGconn *conn, const awa_bulk_options *options,
                                                  awa_bulk_result *result, awa_error *reterr);
AWA_API AWA_CHECKED awa_status awa_dlq_purge(PGconn *conn, const awa_bulk_options *options,
                                             awa_bulk_result *result, awa_error *reterr);

/*
 * Runs one job of the dead-letter queue again. options says when and where, and may be NULL.
 * Returns ENOTFOUND if the job is not in the dead-letter queue, EEXISTS if a newer job holds its
 * unique key.
 */
AWA_API AWA_CHECKED awa_status awa_dlq_retry(PGconn *conn, int64_t id,
                                             const awa_bulk_options *options, awa_error *reterr);

/*
 * Moves one failed job into the dead-letter queue. reason is kept with it; NULL means "manual".
 * Returns ENOTFOUND if there is no such job, or it has not failed.
 */
AWA_API AWA_CHECKED awa_status awa_dlq_move(PGconn *conn, int64_t id, const char *reason,
                                            awa_error *reterr);

/*
 * Compare the terminal counters with the history, and tell by how much they differ in total;
 * awa_counters_rebuild() also corrects them. Both read the whole history; nobody else waits for
 * them.
 */
AWA_API AWA_CHECKED awa_status awa_counters_check(PGconn *conn, int64_t *ret_wrong,
                                                  awa_error *reterr);
AWA_API AWA_CHECKED awa_status awa_counters_rebuild(PGconn *conn, int64_t *ret_corrected,
                                                    awa_error *reterr);

/*
 * Deletes every job and every count; settings, queues and workers stay. database must be the name
 * of the session's database, else EINVAL. Returns EBUSY while somebody uses the queue.
 */
AWA_API AWA_CHECKED awa_status awa_storage_reset(PGconn *conn, const char *database,
                                                 awa_error *reterr);

#ifdef __cplusplus
}
#endif
#endif
