/* SPDX-License-Identifier: MIT */
/*
 * The inside of a worker: what its parts share. There are three kinds of threads:
 * - the I/O thread (io.c, identity.c, claim.c, flush.c, heartbeat.c) owns the two pipelined
 *   sessions: it claims jobs, tells the database how they ended, and sends heartbeats;
 * - takers (take.c) run attempts: handler threads (pool.c), or threads of the program;
 * - the leader thread (leader.c) does the queue's maintenance while it holds the term.
 *
 * The I/O thread and the takers share the job lists below, under one lock. No thread holds that
 * lock while it calls libpq or a handler.
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
    FLUSH_MS = 3,        /* how long a finished job waits for others to be sent with, at most */
    THREADS_MAX = 1024,
    SLOTS_MAX = 100000, /* attempts that a program without handlers may hold */
    BATCH_MAX = 10000,  /* the limit of awa.claim_jobs() */
};

/*
 * The memory of claimed jobs at which a worker stops claiming, but for one job for each idle slot.
 */
enum { CLAIMED_BYTES = 64 * 1024 * 1024 };

/* The phases of a worker. They follow in this order, and none comes back. */
enum phase {
    PHASE_NEW,      /* made, not started */
    PHASE_RUNNING,  /* claims and runs */
    PHASE_DRAINING, /* claims no more; gives back what has not begun, lets the rest finish */
    PHASE_STOPPED,  /* the I/O thread has ended: all ends are sent, or the worker was in a hurry */
};

struct job_list {
    struct awa_attempt *first, *last;
    size_t n;
};

/* A queue that the worker serves. Owned by the I/O thread. */
struct served {
    char *name;
    bool asked;           /* a claim or a peek is on the way */
    size_t asked_n;       /* for how many jobs; 0: it is a peek */
    bool dry;             /* the last claim found nothing */
    bool peeks;           /* the next look only asks whether there is work */
    int64_t marked_at;    /* monotonic ms: last marked as hungry */
    int64_t hungry_since; /* monotonic ms: since when it has been marked without a break */
    int64_t look_at;      /* monotonic ms: when to look again; INT64_MAX: when told to */
    int64_t pause_ms;     /* the next pause between looks; it grows */
    int64_t backoff_ms;   /* after a claim that failed; 0: the last one did not */
    size_t job_bytes;     /* memory of one of its jobs, by the last claims; 0: not known */
    size_t asked_bytes;   /* what the claim on the way may bring, estimated by that */
};

/*
 * One of the two statements that tell how jobs ended. A pause follows each failure, and grows until
 * a statement succeeds.
 */
struct teller {
    struct flush *sent; /* on the way; NULL: none is */
    int64_t backoff_ms; /* 0: the last statement succeeded */
    int64_t after;      /* monotonic ms: none is sent before */
};

/* The worker cannot begin jobs, for a reason of its own. Owned by the I/O thread. */
struct trouble {
    int64_t backoff_ms; /* 0: there is none, or a job has begun since */
    size_t most;        /* limit of jobs to hold, one more for each that begins; 0: no limit */
};

/* What awa_worker_is_empty() knows. Owned by the program's thread that calls it. */
struct emptiness {
    PGconn *probe;     /* a session; NULL: none yet */
    int64_t claimed;   /* how many jobs the worker had claimed at the last call */
    int stuck;         /* how many looks in a row have seen what may be work */
    bool looked_empty; /* the last look saw none */
    int64_t look_at;   /* monotonic ms: no look before */
};

struct awa_worker {
    /* The caller's options, copied. */
    char *conninfo, *name;
    awa_kind *kinds;
    size_t nkinds;
    struct served *queues;
    size_t nqueues;
    int64_t batch, prefetch, poll_ms;
    bool pulled;            /* the program takes attempts itself: there is no pool */
    bool no_leader, pooled; /* pooled: the caller says so; a detected pooler is in struct conn */
    awa_log *log;
    void *log_userdata;

    /* Shared. */
    pthread_mutex_t lock; /* guards everything down to `counts` */
    pthread_cond_t work;  /* todo is not empty, or the worker drains */
    pthread_cond_t ended; /* phase became STOPPED */
    enum phase phase;
    bool hurry;      /* do not wait for running jobs */
    bool io_listens; /* who ends an attempt should wake the I/O thread */
    size_t begun;    /* jobs that have begun since trouble_recover(); counted in trouble only */
    bool in_trouble;
    struct job_list todo, running, done;
    struct awa_attempt *cancelled; /* those that should end, as the program does not know yet */
    int take_fd;                   /* eventfd for the program; -1: it has not asked for one */
    bool take_fd_raised;
    PGconn **idle; /* sessions for transactions of attempts */
    size_t nidle;
    awa_worker_stats counts;
    int wake_fd;                     /* eventfd that wakes the I/O thread */
    atomic_int_least64_t slots;      /* attempts that may run at once */
    atomic_int_least64_t current_id; /* the identity that claims; 0: none at the moment */

    /* Owned by the I/O thread. */
    struct conn claims, closes;
    struct identity *identities; /* the first one is current; older ones still hold jobs */
    int64_t server;              /* awa.server_number() at the last registration */
    struct batch *batches, **last_batch;
    size_t held;                       /* jobs claimed and not closed */
    size_t busy;                       /* jobs claimed and not ended by a taker */
    size_t asked;                      /* jobs asked for in claims on the way */
    size_t next_queue;                 /* the queue that is asked first in the next turn */
    bool draining;                     /* phase is DRAINING, as this thread saw it last */
    bool identity_lost;                /* the current identity must be given up */
    struct job_list detailed;          /* done jobs that are sent one by one */
    size_t detailed_max;               /* how many in one call; fewer after one that was refused */
    size_t simple;                     /* how many done jobs are to be sent as ranges */
    struct teller completing, closing; /* ranges; single jobs */
    struct trouble trouble;
    int64_t claim_after; /* monotonic ms: nothing is claimed before */
    int64_t refused_ms;  /* backoff after a job whose end was refused twice */
    bool ends_wait;      /* the log says that ends cannot be written */
    size_t held_bytes;   /* memory of all batches */
    size_t asked_bytes;  /* memory of claims on the way, by estimate */
    int64_t done_since;  /* monotonic ms of the oldest finished job that was not sent */
    int64_t give_up_at;  /* monotonic ms: in a hurry, no wait for answers after; 0: none so far */
    int64_t heartbeat_at, connect_at, backoff_ms, watch_at, rate_at;
    bool heartbeat_asked;
    bool listens, listening; /* the session should, and does, LISTEN */
    int64_t fleet_poll_ms;   /* pause between the looks of an idle worker that does not listen */
    bool ask_all;            /* the next heartbeat asks about every running job */
    bool any_closed;         /* there may be batches to free */
    int64_t clock_offset;    /* the server's time in ms minus monotonic ms */
    int64_t finished, finished_before; /* how many jobs have ended; before: at rate_at */
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
/* Logs what may go wrong repeatedly; see complaints.h. c belongs to the calling thread. */
void worker_complain(struct awa_worker *w, struct complaints *c, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void worker_wake(struct awa_worker *w); /* wakes the I/O thread */
/* For these five the caller holds the lock. */
void worker_offer(struct awa_worker *w, bool many); /* wakes takers: one, or all */
void worker_finish(struct awa_worker *w, struct awa_attempt **attempts, size_t n); /* into done */
void worker_note_cancel(struct awa_worker *w, struct awa_attempt *attempt);
void worker_forget_cancel(struct awa_worker *w, struct awa_attempt *attempt);
void worker_update_fd(struct awa_worker *w); /* raises or lowers the program's descriptor */
/*
 * Returns how many ms to wait this time: *ms with jitter. *ms is at least first, and doubles with
 * each call, up to max. 0 starts anew.
 */
int64_t worker_back_off(int64_t *ms, int64_t first, int64_t max);
void worker_release_waiting(struct awa_worker *w); /* gives back the jobs in todo */
void worker_job_closed(struct awa_worker *w, struct awa_attempt *job);
void worker_drop_claims(struct awa_worker *w, const awa_error *why); /* closes the session */
void worker_drop_closes(struct awa_worker *w, const awa_error *why);
void worker_count(struct awa_worker *w, enum job_end end, size_t n, size_t stale);
void worker_count_end(struct awa_worker *w, enum job_end end, bool stale);
void worker_queue_names(const struct awa_worker *w, struct buffer *queues); /* as an array */
void worker_doubt(struct awa_worker *w, int64_t claims); /* adds claims without an answer */

#endif
