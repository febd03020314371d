/* SPDX-License-Identifier: MIT */
/*
 * The inside of a worker: what its parts share. Three kinds of threads:
 * - the I/O thread (io.c, identity.c, claim.c, flush.c, heartbeat.c) owns the two pipelined
 *   sessions, claims jobs, tells the database how they ended, and says that the worker is alive;
 * - whoever takes attempts (take.c) runs them: handler threads (pool.c), or the program;
 * - the leader thread (leader.c) does the queue's maintenance while it holds the term.
 * They meet in the job lists below, under one lock that nobody holds across a call to libpq or
 * to a handler.
 */
#ifndef AWA_WORKER_CORE_H
#define AWA_WORKER_CORE_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>

#include "base/buffer.h"
#include "base/complaints.h"
#include "pg/conn.h"
#include "worker/attempt.h"

enum {
    HEARTBEAT_MS = 2000, /* well below the grace and the lease in awa.settings */
    FLUSH_MS = 3,        /* how long a finished job waits for company, at most */
    THREADS_MAX = 1024,
    SLOTS_MAX = 100000, /* attempts in hand, where the program takes them */
    BATCH_MAX = 10000,  /* what awa.claim_jobs() takes */
};

/* How much a worker claims, whatever the jobs' number: each thread may have one more. */
enum { CLAIMED_BYTES = 64 * 1024 * 1024 };

/* The life of a worker: each phase only goes on to a later one. */
enum phase {
    PHASE_NEW,      /* made, not started */
    PHASE_RUNNING,  /* claims and runs */
    PHASE_DRAINING, /* claims no more; gives back what has not begun, lets the rest finish */
    PHASE_STOPPED,  /* the I/O thread has ended: all is told, or the worker was freed in a hurry */
};

struct job_list {
    struct awa_attempt *first, *last;
    size_t n;
};

/* A queue that the worker serves. Owned by the I/O thread. */
struct served {
    char *name;
    bool asked;           /* a claim is on the way */
    size_t asked_n;       /* for so many jobs */
    bool dry;             /* the last look found nothing */
    bool peeks;           /* the next look only asks whether there is work */
    int64_t marked_at;    /* monotonic ms: marked as hungry */
    int64_t hungry_since; /* monotonic ms: and marked without a break since */
    int64_t look_at;      /* monotonic ms: when to look again; INT64_MAX: when told to */
    int64_t pause_ms;     /* between looks, growing */
    int64_t backoff_ms;   /* after a claim that failed; 0: the last one did not */
    size_t job_bytes;     /* what one of its jobs takes here, by the last claims; 0: not known */
    size_t asked_bytes;   /* what the claim on the way may bring, by that */
};

/*
 * One of the two calls that tell how jobs ended. After one that failed there is a pause, which
 * grows until one goes well.
 */
struct teller {
    struct flush *sent; /* on the way; NULL: none is */
    int64_t backoff_ms; /* 0: the last one went well */
    int64_t after;      /* monotonic ms: not before */
};

/* The worker cannot begin jobs, for a reason of its own. Owned by the I/O thread. */
struct trouble {
    int64_t backoff_ms; /* 0: there is none, or a job has begun since */
    size_t most;        /* so many jobs in hand, one more with each that begins; 0: no limit */
};

/* What awa_worker_is_empty() knows. Owned by the program's thread that calls it. */
struct emptiness {
    PGconn *probe;     /* a session; NULL: none yet */
    int64_t claimed;   /* so many jobs, when it looked last */
    int stuck;         /* so many looks since then have seen what may be work */
    bool looked_empty; /* so did the last look */
    int64_t look_at;   /* monotonic ms: not before */
};

struct awa_worker {
    /* What the caller said, copied. */
    char *conninfo, *name;
    awa_kind *kinds;
    size_t nkinds;
    struct served *queues;
    size_t nqueues;
    int64_t batch, prefetch, poll_ms;
    bool pulled;            /* the program takes attempts itself: there is no pool */
    bool no_leader, pooled; /* pooled: the caller says so; what is found, struct conn knows */
    awa_log *log;
    void *log_userdata;

    /* Shared. */
    pthread_mutex_t lock; /* guards everything down to `counts` */
    pthread_cond_t work;  /* todo is not empty, or the worker drains */
    pthread_cond_t ended; /* phase became STOPPED */
    enum phase phase;
    bool hurry;      /* do not wait for running jobs */
    bool io_listens; /* a handler that finishes should write to wake_fd */
    size_t begun;    /* jobs that have begun since the last look; counted in trouble only */
    bool in_trouble;
    struct job_list todo, running, done;
    struct awa_attempt
        *cancelled; /* running ones that should end, and the program does not know yet */
    int take_fd;    /* eventfd for the program; -1: it has not asked for one */
    bool take_fd_raised;
    PGconn **idle; /* sessions for transactions of attempts */
    size_t nidle;
    awa_worker_stats counts;
    int wake_fd;                     /* eventfd: the I/O thread should look */
    atomic_int_least64_t slots;      /* attempts that may run at once */
    atomic_int_least64_t current_id; /* the identity that claims; 0: none at the moment */

    /* Owned by the I/O thread. */
    struct conn claims, closes;
    struct identity *identities; /* the first one is current; older ones still hold jobs */
    int64_t server;              /* awa.server_number() at the last registration */
    struct batch *batches, **last_batch;
    size_t held;                       /* jobs claimed and not closed */
    size_t busy;                       /* jobs claimed and not finished by a handler */
    size_t asked;                      /* jobs asked for in claims on the way */
    size_t next_queue;                 /* which one goes first this time */
    bool draining;                     /* phase, as this thread knows it */
    bool identity_lost;                /* the current identity must be given up */
    struct job_list detailed;          /* done jobs that go one by one */
    size_t detailed_max;               /* of them in one call; fewer after one that was refused */
    size_t simple;                     /* done jobs that go as ranges */
    struct teller completing, closing; /* ranges; single jobs */
    struct trouble trouble;
    int64_t claim_after; /* monotonic ms: nothing is claimed before */
    int64_t refused_ms;  /* backoff after a job whose end is refused altogether */
    bool ends_wait;      /* it was said that ends cannot be written */
    size_t held_bytes;   /* of the batches in memory */
    size_t asked_bytes;  /* of claims on the way, by estimate */
    int64_t done_since;  /* monotonic ms of the oldest finished job that was not sent */
    int64_t give_up_at;  /* monotonic ms: in a hurry, not to wait any longer; 0: no hurry */
    int64_t heartbeat_at, connect_at, backoff_ms, watch_at, rate_at;
    bool heartbeat_asked;
    bool listens, listening; /* the session should, and does, hear notifications */
    int64_t fleet_poll_ms;   /* between the looks of an idle worker that does not listen */
    bool ask_all;            /* the next heartbeat asks about every running job */
    bool any_closed;         /* there may be batches to free */
    int64_t clock_offset;    /* server's time in ms minus monotonic ms */
    int64_t finished, finished_before; /* jobs ended, to measure their rate */
    double rate;                       /* jobs per ms */
    struct complaints complaints;

    struct emptiness emptiness;
    pthread_t io_thread;
    struct pool *pool;
    struct leader *leader;
    bool io_started;
};

/* ---- Lists of jobs ----------------------------------------------------------------------- */

void list_push(struct job_list *list, struct awa_attempt *job);
void list_remove(struct job_list *list, struct awa_attempt *job);
struct awa_attempt *list_take_all(struct job_list *list);

/* ---- What every part of a worker does ---------------------------------------------------- */

bool worker_knows(const struct awa_worker *w, const char *kind);
void worker_log(struct awa_worker *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The same for what may go wrong again and again; c belongs to the calling thread. */
void worker_complain(struct awa_worker *w, struct complaints *c, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void worker_wake(struct awa_worker *w); /* the I/O thread */
/* For these four the caller holds the lock. */
void worker_offer(struct awa_worker *w, bool many); /* there is something to take */
void worker_finish(struct awa_worker *w, struct awa_attempt **attempts, size_t n); /* into done */
void worker_note_cancel(struct awa_worker *w, struct awa_attempt *attempt);
void worker_forget_cancel(struct awa_worker *w, struct awa_attempt *attempt);
/* Raises or lowers the program's descriptor. The same. */
void worker_update_fd(struct awa_worker *w);
/* How long to wait this time, with jitter: about *ms, which starts at first and doubles up to max.
 */
int64_t worker_back_off(int64_t *ms, int64_t first, int64_t max);
void worker_release_waiting(struct awa_worker *w); /* gives back what no handler has begun */
void worker_job_closed(struct awa_worker *w, struct awa_attempt *job);
void worker_drop_claims(struct awa_worker *w, const awa_error *why); /* close the session */
void worker_drop_closes(struct awa_worker *w, const awa_error *why);
void worker_count(struct awa_worker *w, enum job_end end, size_t n, size_t stale);
void worker_count_end(struct awa_worker *w, enum job_end end, bool stale);
void worker_queue_names(const struct awa_worker *w, struct buffer *queues); /* as an array */
void worker_doubt(struct awa_worker *w, int64_t claims); /* so many more are without an answer */

#endif
