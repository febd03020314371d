/* SPDX-License-Identifier: MIT */
/* The I/O thread: its two sessions, and the loop in which each part of the worker has its turn. */
#include "worker/io.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "statements_worker.h"
#include "worker/claim.h"
#include "worker/flush.h"
#include "worker/heartbeat.h"
#include "worker/identity.h"

enum {
    BACKOFF_FIRST_MS = 100, /* between attempts to connect; doubles, with jitter */
    BACKOFF_MAX_MS = 2000,  /* below the worker_grace of awa.settings: back before it ends */
    RATE_MS = 100,          /* over what time the rate of finished jobs is measured */
    HURRY_MS = 5000,        /* how long a worker in a hurry waits for answers on their way */
};

/* ---- Sessions ---------------------------------------------------------------------------- */

static const struct awa__sql *const claim_statements[] = {
    SQL_JOBS_CLAIM,       SQL_QUEUES_HUNGRY,     SQL_WORKER_HEARTBEAT,
    SQL_WORKER_RECONCILE, SQL_WORKER_DEREGISTER, SQL_QUEUES_LISTEN,
    SQL_SESSION_UNLISTEN, SQL_QUEUES_READY,      NULL
};
static const struct awa__sql *const close_statements[] = { SQL_JOBS_COMPLETE, SQL_JOBS_CLOSE,
                                                           NULL };

static void
heard(void *arg, const char *channel, const char *payload)
{
    struct awa_worker *w = arg;

    if (strcmp(channel, "awa.cancel") == 0) {
        for (struct identity *i = w->identities; i != NULL; i = i->next)
            if (strtoll(payload, NULL, 10) == i->number) {
                w->ask_all = true;
                w->heartbeat_at = 0;
            }
        return;
    }
    claim_look(w, NULL); /* all queues: the channel may be a hash of the queue's name */
}

/* Logs notices of the server, such as that it shuts down. Else libpq would print them. */
static void
noticed(void *arg, const char *message)
{
    struct awa_worker *w = arg;

    worker_complain(w, &w->complaints, "server: %.*s", (int)strcspn(message, "\n"), message);
}

awa_status
io_open_sessions(struct awa_worker *w, awa_error *err)
{
    awa_status s = AWA_OK;

    w->claims.arg = w->closes.arg = w;
    w->claims.notify = heard;
    if (!conn_is_open(&w->claims))
        s = conn_open(&w->claims, w->conninfo, w->pooled, "off", claim_statements, heartbeat_greet,
                      err);
    if (s == AWA_OK && !conn_is_open(&w->closes))
        s = conn_open(&w->closes, w->conninfo, w->pooled, "on", close_statements, NULL, err);
    if (s != AWA_OK)
        return s;
    (void)PQsetNoticeProcessor(w->claims.pg, noticed, w);
    (void)PQsetNoticeProcessor(w->closes.pg, noticed, w);
    return AWA_OK;
}

/* Replaces lost sessions, with backoff and jitter, without a limit of tries. */
static void
connect_turn(struct awa_worker *w, int64_t now)
{
    awa_error err;

    if ((conn_is_open(&w->claims) && conn_is_open(&w->closes)) || now < w->connect_at)
        return;
    if (io_open_sessions(w, &err) == AWA_OK) {
        w->backoff_ms = 0;
        pthread_mutex_lock(&w->lock);
        w->counts.reconnects++;
        pthread_mutex_unlock(&w->lock);
        return;
    }
    worker_complain(w, &w->complaints, "connect: %s", err.message);
    w->connect_at = clock_ms() + worker_back_off(&w->backoff_ms, BACKOFF_FIRST_MS, BACKOFF_MAX_MS);
}

/* ---- The loop ----------------------------------------------------------------------------- */

static void
free_closed_batches(struct awa_worker *w)
{
    struct batch **link = &w->batches;

    while (*link != NULL) {
        struct batch *b = *link;

        if (b->open > 0) {
            link = &b->next;
            continue;
        }
        *link = b->next;
        w->held_bytes -= b->bytes;
        batch_free(b);
    }
    w->last_batch = link;
}

static void
measure_rate(struct awa_worker *w, int64_t now)
{
    int64_t passed = now - w->rate_at;

    if (passed < RATE_MS)
        return;
    w->rate += ((double)(w->finished - w->finished_before) / (double)passed - w->rate) / 2;
    w->finished_before = w->finished;
    w->rate_at = now;
}

/*
 * Drains, if the worker is to. Returns true when nothing is left to do, or in a hurry, when the
 * wait is over. In a hurry, too, it waits for running handlers, and for up to HURRY_MS for answers
 * on their way: a claim may bring jobs that must go back, and identity_bye() needs a session on
 * which no answer is to come.
 */
static bool
drain_turn(struct awa_worker *w, int64_t now)
{
    bool hurry;

    pthread_mutex_lock(&w->lock);
    w->draining = w->phase == PHASE_DRAINING;
    hurry = w->hurry;
    pthread_mutex_unlock(&w->lock);
    if (!w->draining)
        return false;
    worker_release_waiting(w);
    flush_take_done(w);
    if (w->held == 0 && conn_pending(&w->claims) == 0)
        return true;
    if (!hurry || (w->busy > 0 && !w->pulled))
        return false;
    if (w->give_up_at == 0)
        w->give_up_at = now + HURRY_MS;
    return now >= w->give_up_at || !conn_is_open(&w->claims) || !conn_is_open(&w->closes);
}

static int64_t
sooner(int64_t a, int64_t b)
{
    if (a < 0 || b < 0)
        return a < 0 ? b : a;
    return a < b ? a : b;
}

static int
wait_ms(const struct awa_worker *w, int64_t now)
{
    int64_t wait = sooner(claim_wait(w, now), flush_wait(w, now));

    if (!conn_is_open(&w->claims) || !conn_is_open(&w->closes))
        wait = sooner(wait, w->connect_at > now ? w->connect_at - now : 0);
    else if (!w->heartbeat_asked)
        wait = sooner(wait, w->heartbeat_at > now ? w->heartbeat_at - now : 0);
    if (w->give_up_at > 0)
        wait = sooner(wait, w->give_up_at > now ? w->give_up_at - now : 0);
    if (w->busy > 0)
        wait = sooner(wait, w->watch_at > now ? w->watch_at - now : 0);
    if (wait < 0 || wait > HEARTBEAT_MS)
        wait = HEARTBEAT_MS;
    return (int)wait;
}

/* Sleeps until something arrives or is due, and takes what has arrived. */
static void
wait_turn(struct awa_worker *w)
{
    struct pollfd fds[3] = { { .fd = w->wake_fd, .events = POLLIN }, { .fd = -1 }, { .fd = -1 } };
    struct conn *conns[] = { &w->claims, &w->closes };
    int timeout = wait_ms(w, clock_ms());
    awa_error err;

    pthread_mutex_lock(&w->lock);
    w->io_listens = w->completing.sent == NULL || w->claims.head == w->claims.tail;
    if (w->io_listens && w->done.first != NULL)
        timeout = 0;
    pthread_mutex_unlock(&w->lock);
    for (int i = 0; i < 2; i++)
        if (conn_is_open(conns[i])) {
            fds[i + 1].fd = PQsocket(conns[i]->pg);
            fds[i + 1].events = conn_events(conns[i]);
        }
    if (poll(fds, 3, timeout) < 0 && errno != EINTR)
        worker_complain(w, &w->complaints, "poll: %s", strerrordesc_np(errno));
    if ((fds[0].revents & POLLIN) != 0) {
        eventfd_t ignored;

        (void)eventfd_read(w->wake_fd, &ignored);
    }
    if (conn_is_open(&w->claims) && conn_dispatch(&w->claims, fds[1].revents, &err) != AWA_OK)
        worker_drop_claims(w, &err);
    if (conn_is_open(&w->closes) && conn_dispatch(&w->closes, fds[2].revents, &err) != AWA_OK)
        worker_drop_closes(w, &err);
}

static void
note_counts(struct awa_worker *w)
{
    pthread_mutex_lock(&w->lock);
    w->counts.queries = w->claims.queries + w->closes.queries;
    pthread_mutex_unlock(&w->lock);
}

void *
io_thread(void *arg)
{
    struct awa_worker *w = arg;

    for (;;) {
        int64_t now = clock_ms();

        flush_take_done(w);
        if (drain_turn(w, now))
            break;
        connect_turn(w, now);
        heartbeat_watch(w, now);
        measure_rate(w, now);
        flush_turn(w, now);
        heartbeat_turn(w, now);
        claim_turn(w, now);
        if (w->any_closed) {
            w->any_closed = false;
            free_closed_batches(w);
        }
        note_counts(w);
        wait_turn(w);
    }
    identity_bye(w);
    conn_close(&w->claims);
    conn_close(&w->closes);
    free_closed_batches(w);
    pthread_mutex_lock(&w->lock);
    w->phase = PHASE_STOPPED;
    pthread_cond_broadcast(&w->ended);
    pthread_mutex_unlock(&w->lock);
    return NULL;
}
