/* SPDX-License-Identifier: MIT */
/*
 * awa: a background job queue whose only server is PostgreSQL.
 *
 * This header is the whole public C API, grouped by task: errors, connect, insert, work,
 * look and administer. Every rule of the queue is a SQL function in schema `awa`; what is here
 * calls it. JSON crosses the API as text. Times are milliseconds since 1970, durations are
 * milliseconds.
 *
 * Ownership: pointers passed in are borrowed for the call; what comes out through ret_ is
 * yours, texts to be freed with free(); what is returned directly is borrowed from its parent.
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

/* Filled on failure only. Lives wherever the caller likes; owns no memory. */
typedef struct awa_error {
    awa_status status;
    char sqlstate[6]; /* "" unless Postgres reported one */
    char message[250];
} awa_error;

/* The sentence that belongs to a status. Never NULL. */
AWA_API const char *awa_status_text(awa_status status);

/* The version of the library that runs, which may differ from AWA_VERSION in the header. */
AWA_API const char *awa_version(void);

/* ---- Connect ----------------------------------------------------------------------------- */

/*
 * Opens a session with deadlines on both ends: connect timeout, keepalives and
 * tcp_user_timeout on this side; client_connection_check_interval and
 * idle_in_transaction_session_timeout on the server's; jit off. What the connection string,
 * the service file or PGOPTIONS say goes first, but for client_encoding, which is UTF8. Behind a
 * pooler nothing is set on the server's side, where it would meet other clients. conninfo is a
 * libpq string or URI; NULL means the PG* variables. The caller ends it with PQfinish(). Returns
 * ECONN or ENOMEM.
 */
AWA_API AWA_CHECKED awa_status awa_connect(const char *conninfo, PGconn **ret_conn,
                                           awa_error *reterr);

/* ---- Insert ------------------------------------------------------------------------------ */

/*
 * A job to be. Zero means "the default", which lives in awa.insert_job(). Only kind is needed.
 * Build single ones with AWA_JOB(.kind = "mail", ...); in arrays set .size yourself.
 */
typedef struct awa_job_options {
    size_t size;             /* set by AWA_JOB() */
    const char *kind;        /* 1 to 200 bytes */
    const char *args_json;   /* any JSON value, at most 1 MiB; NULL means {} */
    const char *queue;       /* 1 to 200 bytes; NULL means "default" */
    int64_t priority;        /* 1 (most urgent) to 4; 0 means 2 */
    int64_t max_attempts;    /* 1 to 1000; 0 means 25 */
    int64_t run_at_ms;       /* not before this time; 0 means now */
    int64_t delay_ms;        /* not before now + delay; excludes run_at_ms */
    const char *const *tags; /* ntags strings, at most 20 */
    size_t ntags;
    const char *metadata_json; /* a JSON object; NULL means none */
    const char *unique_key;    /* refused while a live job holds the same key */
    const char *ordering_key;  /* jobs of one key are claimed in their order; see below */
    int64_t max_run_ms;        /* how long an attempt may take; 0 means as its queue says */
} awa_job_options;

/*
 * An ordering key keeps its jobs in one shard of their queue and priority, so that they are claimed
 * in the order in which they were inserted (but for the very first jobs of a queue, if transactions
 * that are open at the same time insert them). It is the order of claims only: two jobs of one key
 * may run at once, and one that is tried again comes later. In a queue with one shard, the default,
 * the key changes nothing.
 */
#define AWA_JOB(...) (&(awa_job_options){ .size = sizeof(awa_job_options), __VA_ARGS__ })

/*
 * One job, inside the caller's transaction if there is one, at any isolation level. ret_id may be
 * NULL. Returns EEXISTS if a live job holds the unique key. Texts are UTF-8: a session with another
 * client_encoding is refused with EINVAL, here and below.
 */
AWA_API AWA_CHECKED awa_status awa_job_insert(PGconn *conn, const awa_job_options *job,
                                              int64_t *ret_id, awa_error *reterr);

/*
 * n jobs in one statement. All or nothing, but for duplicates of a unique key, whose ret_ids[i]
 * becomes 0. The error names the index of the first bad job. ret_ids may be NULL or has room
 * for n.
 */
AWA_API AWA_CHECKED awa_status awa_jobs_insert(PGconn *conn, const awa_job_options *jobs, size_t n,
                                               int64_t *ret_ids, awa_error *reterr);

/*
 * The same by binary COPY: the fastest door, for many jobs at once. Needs the role
 * awa_bulk_producer. Opens a transaction of its own if the caller has none.
 */
AWA_API AWA_CHECKED awa_status awa_jobs_copy(PGconn *conn, const awa_job_options *jobs, size_t n,
                                             int64_t *ret_ids, awa_error *reterr);

/* ---- Work -------------------------------------------------------------------------------- */

typedef struct awa_worker awa_worker;   /* opaque */
typedef struct awa_attempt awa_attempt; /* opaque; one run of a job, until its end was said */

/* How an attempt ends. */
typedef enum awa_outcome {
    AWA_COMPLETE = 0, /* done */
    AWA_RETRY,        /* failed this time; runs again after backoff while attempts are left */
    AWA_FAIL,         /* failed for good */
    AWA_CANCEL,       /* need not be done any more */
    AWA_SNOOZE,       /* again later, without burning an attempt; see awa_attempt_set_delay() */
    AWA_SETTLED,      /* completed by awa.complete_job() in a transaction of the caller's own */
    AWA_RELEASE,      /* nothing was begun: goes back as it came; see awa_attempt_begun() */
} awa_outcome;

/* Runs in a handler thread. May block. Must not keep `attempt` after it returned. */
typedef awa_outcome awa_handler(awa_attempt *attempt, void *userdata);

/* What the library has to say on the side, one line, no newline. Any thread may call it. */
typedef void awa_log(void *userdata, const char *line);

/*
 * A kind that this worker can run. Either every kind has a handler, which threads of the library
 * call, or none has: then the program takes attempts itself, see awa_worker_take().
 */
typedef struct awa_kind {
    const char *kind;     /* NULL: every kind that has no entry of its own */
    awa_handler *handler; /* NULL: awa_worker_take() hands out its attempts */
    void *userdata;
} awa_kind;

typedef struct awa_worker_options {
    size_t size;               /* set by AWA_WORKER() */
    const char *conninfo;      /* libpq string or URI; NULL means the PG* variables */
    const char *name;          /* shown to operators; NULL means host:pid */
    const char *const *queues; /* nqueues names; none means "default" */
    size_t nqueues;
    const awa_kind *kinds; /* nkinds of them, copied; none: every kind, taken by the program */
    size_t nkinds;
    int64_t threads;   /* handler threads, at most 1024; or how many attempts the program wants to
                          have in hand, at most 100000; 0 means one per CPU */
    int64_t batch;     /* claim at most this many at once, 1 to 10000; 0 means 1000 */
    int64_t prefetch;  /* hold up to this many unstarted jobs; 0: what 50 ms need; -1: none */
    int64_t poll_ms;   /* look for work at least this often; 0 means 2000 */
    int64_t no_leader; /* 1: never do the maintenance of the queue */
    int64_t pooled;    /* 1: behind a transaction pooler that is not noticed by itself */
    awa_log *log;      /* NULL means silence */
    void *log_userdata;
} awa_worker_options;

#define AWA_WORKER(...) (&(awa_worker_options){ .size = sizeof(awa_worker_options), __VA_ARGS__ })

/* Copies the options, connects, checks the schema and registers. Nothing runs yet. */
AWA_API AWA_CHECKED awa_status awa_worker_new(const awa_worker_options *options,
                                              awa_worker **ret_worker, awa_error *reterr);

/* Starts the threads. Lost sessions are replaced with backoff, for ever. */
AWA_API AWA_CHECKED awa_status awa_worker_start(awa_worker *worker, awa_error *reterr);

/*
 * Stops claiming, gives unstarted jobs back without burning an attempt, and lets running ones
 * finish; awa_worker_take() hands out no more. Returns at once; safe in any thread, not in a signal
 * handler.
 */
AWA_API void awa_worker_drain(awa_worker *worker);

/*
 * Drains and waits up to timeout_ms (-1: for ever) until every result is durable. Returns EBUSY
 * if jobs still run by then: they are marked as cancelled and go to another worker when this
 * one is freed.
 */
AWA_API AWA_CHECKED awa_status awa_worker_stop(awa_worker *worker, int64_t timeout_ms,
                                               awa_error *reterr);

/*
 * Accepts NULL, returns NULL. Waits for running handlers, which see awa_attempt_cancelled(). It
 * does not wait for attempts that the program has taken: they go to other workers, and must not be
 * used any more.
 */
AWA_API awa_worker *awa_worker_free(awa_worker *worker);

/*
 * Whether nothing is due in its queues, and nothing in its hands: call it again and again, from one
 * thread, until *ret_empty is 1. It promotes what is due and rescues what dead workers hold, unless
 * the worker never leads. Jobs that other workers run do not count.
 */
AWA_API AWA_CHECKED awa_status awa_worker_is_empty(awa_worker *worker, int *ret_empty,
                                                   awa_error *reterr);

/* Waits for that, up to timeout_ms (-1: for ever). Returns EBUSY if time is up. */
AWA_API AWA_CHECKED awa_status awa_worker_run_until_empty(awa_worker *worker, int64_t timeout_ms,
                                                          awa_error *reterr);

/* Numbers of one worker, since it was made. */
typedef struct awa_worker_stats {
    size_t size; /* set by the caller */
    int64_t claimed;
    int64_t completed; /* durable, by this worker */
    int64_t failed;    /* durable: retried, failed, cancelled, snoozed */
    int64_t released;  /* given back unstarted */
    int64_t stale;     /* refused: the attempt had lost its job */
    int64_t running;   /* now, in handlers */
    int64_t waiting;   /* now, claimed but not started */
    int64_t reconnects;
    int64_t queries;  /* statements sent */
    int64_t in_doubt; /* now, claims without an answer: on their way, or lost and not yet undone */
} awa_worker_stats;

AWA_API void awa_worker_get_stats(awa_worker *worker, awa_worker_stats *stats);

/*
 * The pull door, for programs with threads or an event loop of their own. An attempt that was taken
 * is running until awa_attempt_end(); any thread may take and end, also another one than took it.
 *
 * awa_worker_take() waits up to timeout_ms for one (-1: for ever, 0: not at all); *ret_attempt is
 * NULL if none came. Returns ENOTFOUND once the worker drains: no more will come.
 */
AWA_API AWA_CHECKED awa_status awa_worker_take(awa_worker *worker, int64_t timeout_ms,
                                               awa_attempt **ret_attempt, awa_error *reterr);

/* The same for up to max at once, but no more than a fair share while others take as well. */
AWA_API AWA_CHECKED awa_status awa_worker_take_many(awa_worker *worker, int64_t timeout_ms,
                                                    awa_attempt **ret_attempts, size_t max,
                                                    size_t *ret_n, awa_error *reterr);

/*
 * Says how an attempt ended, and sets *attempt to NULL. The result is durable some milliseconds
 * later. With AWA_COMPLETE it commits the transaction of awa_attempt_transaction() first, and waits
 * for that. AWA_SETTLED is looked up: if that transaction did not commit, the job is retried.
 */
AWA_API void awa_attempt_end(awa_attempt **attempt, awa_outcome outcome);
AWA_API void awa_attempts_end(awa_attempt **attempts, const awa_outcome *outcomes, size_t n);

/*
 * A descriptor that is readable while there is something to take, an attempt that should end (see
 * awa_worker_next_cancelled()), or a worker that drains. Only poll it. It lives as long as the
 * worker.
 */
AWA_API int awa_worker_fd(awa_worker *worker);

/*
 * An attempt that was taken and should end, each once; NULL if there is no other. It may be ended
 * by another thread meanwhile, so call it where attempts are ended.
 */
AWA_API awa_attempt *awa_worker_next_cancelled(awa_worker *worker);

/*
 * How many attempts the program wants to have in hand from now on, 0 to 100000. With 0 nothing is
 * claimed, and what waits here goes back. EINVAL for a worker with handlers.
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

/* By these three awa.complete_job() knows the attempt. worker is a secret of this worker. */
AWA_API int64_t awa_attempt_worker(const awa_attempt *attempt);
AWA_API int64_t awa_attempt_run_lease(const awa_attempt *attempt);
AWA_API int64_t awa_attempt_position(const awa_attempt *attempt);

/* Why an attempt should end; the first reason stays. */
typedef enum awa_cancel {
    AWA_GO_ON = 0,       /* it need not */
    AWA_CANCEL_LOST,     /* an operator cancelled the job, or it was rescued from this worker */
    AWA_CANCEL_DEADLINE, /* its deadline has passed */
    AWA_CANCEL_STOPPING, /* the worker stops and does not wait */
} awa_cancel;

/*
 * Whether this attempt should end, and why. A handler that then gives up returns AWA_RETRY: after
 * the deadline, unless it has set a delay, the attempt counts as expired, and the job runs again at
 * once while attempts are left.
 */
AWA_API awa_cancel awa_attempt_cancelled(const awa_attempt *attempt);

/* A descriptor that becomes readable when the attempt should end; -1 on failure. */
AWA_API int awa_attempt_cancel_fd(awa_attempt *attempt);

/*
 * The result of the job, one JSON value, at most 1 MiB; kept when the job ends. Text that is no
 * JSON is kept as {"stdout": text}.
 */
AWA_API AWA_CHECKED awa_status awa_attempt_set_output(awa_attempt *attempt, const char *json,
                                                      size_t length);

/*
 * What went wrong, in words; kept with AWA_RETRY, AWA_FAIL and AWA_CANCEL, up to 8 KiB. With
 * AWA_RELEASE: what keeps this worker from beginning any job; then it claims none for a while, and
 * says so.
 */
AWA_API AWA_CHECKED awa_status awa_attempt_set_error(awa_attempt *attempt, const char *text);

/* With AWA_RETRY: after this delay instead of the backoff. With AWA_SNOOZE, AWA_RELEASE: the delay.
 */
AWA_API void awa_attempt_set_delay(awa_attempt *attempt, int64_t delay_ms);

/*
 * For those that may release attempts because of a trouble of their own: this one has begun. A
 * worker in trouble claims one more for each.
 */
AWA_API void awa_attempt_begun(awa_attempt *attempt);

/*
 * A session for this attempt, inside an open transaction. If it then ends with AWA_COMPLETE, the
 * job is completed in this transaction and both commit together or not at all; any other outcome
 * rolls it back. Do not commit or close it.
 */
AWA_API AWA_CHECKED awa_status awa_attempt_transaction(awa_attempt *attempt, PGconn **ret_conn,
                                                       awa_error *reterr);

/* ---- Look -------------------------------------------------------------------------------- */

/*
 * What is read comes as one JSON text, the same that the commands print with --json. Numbers that
 * may pass 2^53 are strings in it. The text is to be freed with free(). A login with the role
 * awa_viewer or awa_operator may call these.
 */

/* One job, as a row of awa.jobs. ENOTFOUND: not known, or ended so long ago that it is gone. */
AWA_API AWA_CHECKED awa_status awa_job_get(PGconn *conn, int64_t id, char **ret_json,
                                           awa_error *reterr);

/* Why it does not run, or where it is now: a list of {finding, since, hint}. ENOTFOUND as above. */
AWA_API AWA_CHECKED awa_status awa_job_explain(PGconn *conn, int64_t id, char **ret_json,
                                               awa_error *reterr);

/* All that is stored about it: attempts, workers, claims, place. ENOTFOUND as above. */
AWA_API AWA_CHECKED awa_status awa_job_dump(PGconn *conn, int64_t id, char **ret_json,
                                            awa_error *reterr);

/* Which jobs a list has; zero means "any". */
typedef struct awa_list_options {
    size_t size;        /* set by AWA_LIST() */
    const char *state;  /* awa_jobs_list(): available, scheduled, running, retryable, failed, ... */
    const char *kind;   /* of this kind */
    const char *queue;  /* in this queue */
    const char *tag;    /* with this tag */
    const char *reason; /* awa_dlq_list(): dead for this reason */
    int64_t from_ms;    /* awa_dlq_list(): dead since then */
    int64_t to_ms;      /* awa_dlq_list(): and before that */
    const char *before; /* the next page: *ret_next of the call before */
    int64_t limit;      /* at most so many, 1 to 10000; 0 means 100 */
} awa_list_options;

#define AWA_LIST(...) (&(awa_list_options){ .size = sizeof(awa_list_options), __VA_ARGS__ })

/*
 * Jobs, newest id first; dead letters, newest first. options and ret_next may be NULL. *ret_next is
 * the cursor of the next page, or NULL if there is none. A cursor stays good while jobs come and
 * go.
 */
AWA_API AWA_CHECKED awa_status awa_jobs_list(PGconn *conn, const awa_list_options *options,
                                             char **ret_json, char **ret_next, awa_error *reterr);
AWA_API AWA_CHECKED awa_status awa_dlq_list(PGconn *conn, const awa_list_options *options,
                                            char **ret_json, char **ret_next, awa_error *reterr);

/* How many dead letters a queue has, or each that has some (NULL), and since when: a list. */
AWA_API AWA_CHECKED awa_status awa_dlq_depth(PGconn *conn, const char *queue, char **ret_json,
                                             awa_error *reterr);

/*
 * How many jobs a queue has in each state, or each queue (NULL): exact counts, a list; or gauges at
 * a bounded cost, at most 5 s old, an object that says which bound each is. ENOTFOUND if the queue
 * is not known.
 */
AWA_API AWA_CHECKED awa_status awa_queue_counts(PGconn *conn, const char *queue, char **ret_json,
                                                awa_error *reterr);
AWA_API AWA_CHECKED awa_status awa_queue_gauges(PGconn *conn, const char *queue, char **ret_json,
                                                awa_error *reterr);

/* Queues with their settings; the common settings; workers, with ended those of the last hour, too.
 */
AWA_API AWA_CHECKED awa_status awa_queues_list(PGconn *conn, char **ret_json, awa_error *reterr);
AWA_API AWA_CHECKED awa_status awa_defaults_get(PGconn *conn, char **ret_json, awa_error *reterr);
AWA_API AWA_CHECKED awa_status awa_workers_list(PGconn *conn, int ended, char **ret_json,
                                                awa_error *reterr);

/* Checks of the whole; *ret_well is 1 if all of them are well. Either may be NULL. */
AWA_API AWA_CHECKED awa_status awa_health(PGconn *conn, int *ret_well, char **ret_json,
                                          awa_error *reterr);

/* Numbers about the storage, with the counts and gauges of all queues together. */
AWA_API AWA_CHECKED awa_status awa_storage_status(PGconn *conn, char **ret_json, awa_error *reterr);

/* What time it is on the server, by which jobs become due. */
AWA_API AWA_CHECKED awa_status awa_server_time(PGconn *conn, int64_t *ret_ms, awa_error *reterr);

/* ---- Administer -------------------------------------------------------------------------- */

/*
 * Creates or upgrades schema awa in one transaction, and puts right what differs from what awa has
 * made: roles, owners, rights, functions. Tables are compared with sequences and the like, in a
 * second transaction, if the database was restored or copied; `awa migrate` does it always. Returns
 * ESCHEMA if the schema is newer than us, or lacks tables; EINVAL if the database's encoding is not
 * UTF8.
 */
AWA_API AWA_CHECKED awa_status awa_migrate(PGconn *conn, awa_error *reterr);

/*
 * Cancels a job in any live state. reason is kept with the job; NULL means "cancelled by an
 * operator". Returns ENOTFOUND if it is not known or has ended, EINVAL inside a transaction that is
 * not READ COMMITTED; so does awa_job_retry().
 */
AWA_API AWA_CHECKED awa_status awa_job_cancel(PGconn *conn, int64_t id, const char *reason,
                                              awa_error *reterr);

/* Makes a failed or cancelled job runnable again, attempt 0. Returns ENOTFOUND otherwise. */
AWA_API AWA_CHECKED awa_status awa_job_retry(PGconn *conn, int64_t id, awa_error *reterr);

/*
 * Forgets a job, whatever its state; the worker of a running one is told. Returns ENOTFOUND if it
 * is not known, EBUSY if somebody else is just changing it.
 */
AWA_API AWA_CHECKED awa_status awa_job_delete(PGconn *conn, int64_t id, awa_error *reterr);

/* Workers stop and begin again to claim from the queue; what runs, runs on. */
AWA_API AWA_CHECKED awa_status awa_queue_pause(PGconn *conn, const char *queue, awa_error *reterr);
AWA_API AWA_CHECKED awa_status awa_queue_resume(PGconn *conn, const char *queue, awa_error *reterr);

/* Cancels up to limit of the jobs that wait in a queue, 1 to 10000; go on until *ret_n is less. */
AWA_API AWA_CHECKED awa_status awa_queue_drain(PGconn *conn, const char *queue, int64_t limit,
                                               int64_t *ret_n, awa_error *reterr);

/*
 * Removes a queue: its settings at once, its counts when the history of its jobs has gone. Returns
 * ENOTFOUND, or EBUSY while it has jobs that have not ended, dead letters, or workers.
 */
AWA_API AWA_CHECKED awa_status awa_queue_remove(PGconn *conn, const char *queue, awa_error *reterr);

/* A setting of a queue that goes back to the common one; and a duration of nothing, or a switch
 * off. */
enum { AWA_SETTING_DEFAULT = -1, AWA_SETTING_NONE = -2 };

/* Settings, in ms where they are times. Zero leaves one as it is. */
typedef struct awa_settings {
    size_t size;            /* set by AWA_SETTINGS() */
    int64_t enqueue_shards; /* lanes for each priority, 1 to 64; not a common setting */
    int64_t deadline_ms;    /* how long an attempt may take; NONE: as long as it likes */
    int64_t aging_ms;       /* after so long a job counts as one priority higher; NONE: never */
    int64_t dlq;            /* 1: failed jobs go to the dead-letter queue; NONE: they do not */
    int64_t completed_retention_ms; /* completed and cancelled jobs are kept so long */
    int64_t failed_retention_ms;    /* failed jobs can be retried so long */
    int64_t dlq_retention_ms;       /* dead letters are kept so long */
} awa_settings;

#define AWA_SETTINGS(...) (&(awa_settings){ .size = sizeof(awa_settings), __VA_ARGS__ })

/* Of a queue, which is made if there is none; and those that count where a queue has none of its
 * own. */
AWA_API AWA_CHECKED awa_status awa_queue_set(PGconn *conn, const char *queue,
                                             const awa_settings *settings, awa_error *reterr);
AWA_API AWA_CHECKED awa_status awa_defaults_set(PGconn *conn, const awa_settings *settings,
                                                awa_error *reterr);

/*
 * Which jobs a call means, and what becomes of them. Zero means "any", and for what becomes of them
 * "as they are". A call needs a filter or .all, and refuses with EINVAL what it does not
 * understand, such as .to_queue of a call that forgets jobs.
 */
typedef struct awa_bulk_options {
    size_t size;          /* set by AWA_BULK() */
    const char *kind;     /* filter: of this kind */
    const char *queue;    /* filter: in this queue */
    const char *tag;      /* filter: with this tag */
    int64_t all;          /* 1: all are meant, if there is no filter */
    int64_t limit;        /* at most so many in this call, 1 to 10000; 0 means 1000 */
    int64_t before;       /* only ids below this: next_before of the call before */
    int64_t dry_run;      /* 1: change nothing */
    const char *reason;   /* filter of dead letters; of awa_failed_move(): what is kept with them */
    int64_t from_ms;      /* filter of dead letters: dead since then */
    int64_t to_ms;        /* filter of dead letters: and before that */
    int64_t run_at_ms;    /* awa_dlq_*retry(): not before this time */
    int64_t delay_ms;     /* not before now + delay; excludes run_at_ms */
    const char *to_queue; /* in another queue */
    int64_t to_priority;  /* with another priority, 1 to 4 */
} awa_bulk_options;

#define AWA_BULK(...) (&(awa_bulk_options){ .size = sizeof(awa_bulk_options), __VA_ARGS__ })

enum { AWA_SAMPLE_MAX = 10 };

/* What one call did. */
typedef struct awa_bulk_result {
    size_t size;         /* set by the caller */
    int64_t matched;     /* jobs that it found */
    int64_t changed;     /* and those of them that it retried, moved or forgot */
    int64_t conflicts;   /* left where they are: a newer job holds their unique key */
    int64_t next_before; /* there may be more: .before of the next call; 0: there is no more */
    int64_t nsample;     /* ids of the first ones that matched */
    int64_t sample[AWA_SAMPLE_MAX];
} awa_bulk_result;

/*
 * Each call does up to .limit jobs, newest id first, in the caller's transaction or one of its
 * own; the caller goes on with .before until next_before is 0. result may be NULL. Bulk calls wait
 * for each other. They return EINVAL inside a transaction that is not READ COMMITTED.
 *
 * Failed jobs that are not in the dead-letter queue: run again from attempt 0, forgotten, moved.
 */
AWA_API AWA_CHECKED awa_status awa_failed_retry(PGconn *conn, const awa_bulk_options *options,
                                                awa_bulk_result *result, awa_error *reterr);
AWA_API AWA_CHECKED awa_status awa_failed_discard(PGconn *conn, const awa_bulk_options *options,
                                                  awa_bulk_result *result, awa_error *reterr);
AWA_API AWA_CHECKED awa_status awa_failed_move(PGconn *conn, const awa_bulk_options *options,
                                               awa_bulk_result *result, awa_error *reterr);

/* Jobs in the dead-letter queue: run again from attempt 0, forgotten. */
AWA_API AWA_CHECKED awa_status awa_dlq_jobs_retry(PGconn *conn, const awa_bulk_options *options,
                                                  awa_bulk_result *result, awa_error *reterr);
AWA_API AWA_CHECKED awa_status awa_dlq_purge(PGconn *conn, const awa_bulk_options *options,
                                             awa_bulk_result *result, awa_error *reterr);

/*
 * One of them. options says when and where it runs, and may be NULL. Returns ENOTFOUND if it is not
 * in the dead-letter queue, EEXISTS if a newer job holds its unique key.
 */
AWA_API AWA_CHECKED awa_status awa_dlq_retry(PGconn *conn, int64_t id,
                                             const awa_bulk_options *options, awa_error *reterr);

/* Moves one failed job there. reason is kept with it; NULL means "manual". Returns ENOTFOUND. */
AWA_API AWA_CHECKED awa_status awa_dlq_move(PGconn *conn, int64_t id, const char *reason,
                                            awa_error *reterr);

/*
 * Compares the terminal counters with the history and counts by how much they differ; rebuild also
 * puts them right. Takes as long as reading the history does; nobody else waits for it.
 */
AWA_API AWA_CHECKED awa_status awa_counters_check(PGconn *conn, int64_t *ret_wrong,
                                                  awa_error *reterr);
AWA_API AWA_CHECKED awa_status awa_counters_rebuild(PGconn *conn, int64_t *ret_corrected,
                                                    awa_error *reterr);

/*
 * Forgets every job and every count; settings, queues and workers stay. database must be the name
 * of the session's database, else EINVAL. Returns EBUSY while somebody uses the queue.
 */
AWA_API AWA_CHECKED awa_status awa_storage_reset(PGconn *conn, const char *database,
                                                 awa_error *reterr);

#ifdef __cplusplus
}
#endif
#endif
