/* SPDX-License-Identifier: MIT */
/* The life of a worker: made, started, stopped, freed. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "lib/options.h"
#include "worker/core.h"
#include "worker/io.h"
#include "worker/leader.h"
#include "worker/pool.h"
#include "worker/transaction.h"

/* ---- New, start, stop, free -------------------------------------------------------------- */

static char *
default_name(void)
{
    char host[256] = "", *name;

    if (gethostname(host, sizeof host - 1) != 0)
        host[0] = '\0';
    return asprintf(&name, "%s:%ld", host[0] != '\0' ? host : "?", (long)getpid()) >= 0 ? name
                                                                                        : NULL;
}

static awa_status
copy_queues(struct awa_worker *w, const awa_worker_options *o, awa_error *err)
{
    static const char *const fallback[] = { "default" };
    const char *const *names = o->nqueues > 0 ? o->queues : fallback;

    w->nqueues = o->nqueues > 0 ? o->nqueues : 1;
    w->queues = calloc(w->nqueues, sizeof *w->queues);
    if (w->queues == NULL)
        return awa__fail(err, AWA_ENOMEM, "worker: out of memory");
    for (size_t i = 0; i < w->nqueues; i++) {
        if (names[i] == NULL)
            return awa__fail(err, AWA_EINVAL, "worker: queue %zu has no name", i);
        w->queues[i].name = strdup(names[i]);
        w->queues[i].marked_at = INT64_MIN / 4;
        if (w->queues[i].name == NULL)
            return awa__fail(err, AWA_ENOMEM, "worker: out of memory");
    }
    return AWA_OK;
}

static awa_status
copy_kinds(struct awa_worker *w, const awa_worker_options *o, awa_error *err)
{
    size_t handlers = 0;

    if (o->nkinds > 0 && o->kinds == NULL)
        return awa__fail(err, AWA_EINVAL, "worker: kinds: missing");
    for (size_t i = 0; i < o->nkinds; i++)
        handlers += o->kinds[i].handler != NULL;
    if (handlers != 0 && handlers != o->nkinds)
        return awa__fail(err, AWA_EINVAL, "worker: want a handler for every kind, or for none");
    w->pulled = handlers == 0;
    w->kinds = calloc(o->nkinds + 1, sizeof *w->kinds);
    if (w->kinds == NULL)
        return awa__fail(err, AWA_ENOMEM, "worker: out of memory");
    for (size_t i = 0; i < o->nkinds; i++) {
        w->kinds[i] = o->kinds[i];
        w->nkinds++;
        if (o->kinds[i].kind == NULL)
            continue;
        w->kinds[i].kind = strdup(o->kinds[i].kind);
        if (w->kinds[i].kind == NULL)
            return awa__fail(err, AWA_ENOMEM, "worker: out of memory");
    }
    return AWA_OK;
}

/* Takes a number within limits; 0 means the default. */
static awa_status
take_number(int64_t *to, const char *name, int64_t given, int64_t fallback, int64_t low,
            int64_t high, awa_error *err)
{
    if (given != 0 && (given < low || given > high))
        return awa__fail(err, AWA_EINVAL, "worker: %s: want %lld to %lld, got %lld", name,
                         (long long)low, (long long)high, (long long)given);
    *to = given != 0 ? given : fallback;
    return AWA_OK;
}

static awa_status
copy_options(struct awa_worker *w, const awa_worker_options *o, awa_error *err)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    int64_t slots = 0;
    awa_status s;

    w->no_leader = o->no_leader != 0;
    w->pooled = o->pooled != 0;
    w->log = o->log;
    w->log_userdata = o->log_userdata;
    w->conninfo = strdup(o->conninfo != NULL ? o->conninfo : "");
    w->name = o->name != NULL ? strdup(o->name) : default_name();
    if (w->conninfo == NULL || w->name == NULL)
        return awa__fail(err, AWA_ENOMEM, "worker: out of memory");
    s = copy_kinds(w, o, err);
    if (s == AWA_OK)
        s = take_number(&slots, "threads", o->threads, cpus > 0 ? cpus : 1, 1,
                        w->pulled ? SLOTS_MAX : THREADS_MAX, err);
    if (s == AWA_OK)
        s = take_number(&w->batch, "batch", o->batch, 1000, 1, BATCH_MAX, err);
    if (s == AWA_OK)
        s = take_number(&w->prefetch, "prefetch", o->prefetch, 0, -1, 100000, err);
    if (s == AWA_OK)
        s = take_number(&w->poll_ms, "poll_ms", o->poll_ms, HEARTBEAT_MS, 10, 60000, err);
    if (s == AWA_OK)
        s = copy_queues(w, o, err);
    atomic_store(&w->slots, slots);
    return s;
}

static void
auto_worker(awa_worker **w)
{
    (void)awa_worker_free(*w);
}

awa_status
awa_worker_new(const awa_worker_options *options, awa_worker **ret_worker, awa_error *reterr)
{
    awa_worker_options o;
    AUTO(worker) awa_worker *w = NULL;
    awa_status s;

    if (ret_worker == NULL ||
        !awa__options_read(&o, sizeof o, options, options != NULL ? options->size : 0))
        return awa__fail(reterr, AWA_EINVAL, "worker: build the options with AWA_WORKER()");
    w = calloc(1, sizeof *w);
    if (w == NULL)
        return awa__fail(reterr, AWA_ENOMEM, "worker: out of memory");
    pthread_mutex_init(&w->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&w->work, &monotonic);
    pthread_cond_init(&w->ended, &monotonic);
    pthread_condattr_destroy(&monotonic);
    w->last_batch = &w->batches;
    w->detailed_max = SIZE_MAX;
    w->take_fd = -1;
    w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (w->wake_fd < 0)
        return awa__fail(reterr, AWA_ESYS, "worker: no event descriptor: %m");

    s = copy_options(w, &o, reterr);
    if (s == AWA_OK)
        s = io_open_sessions(w, reterr);
    if (s != AWA_OK)
        return s;
    *ret_worker = TAKE(w);
    return AWA_OK;
}

awa_status
awa_worker_start(awa_worker *worker, awa_error *reterr)
{
    awa_status s;
    int error;

    if (worker == NULL || worker->phase != PHASE_NEW)
        return awa__fail(reterr, AWA_EINVAL, "worker: want one that was not started yet");
    worker->phase = PHASE_RUNNING;
    worker->rate_at = clock_ms();
    s = AWA_OK;
    if (!worker->pulled)
        s = pool_start(worker, worker->kinds, worker->nkinds, (size_t)atomic_load(&worker->slots),
                       &worker->pool, reterr);
    if (s == AWA_OK && !worker->no_leader)
        s = leader_start(worker, reterr);
    if (s != AWA_OK)
        return s;
    error = pthread_create(&worker->io_thread, NULL, io_thread, worker);
    if (error != 0) {
        errno = error;
        return awa__fail(reterr, AWA_ESYS, "worker: no thread: %m");
    }
    worker->io_started = true;
    return AWA_OK;
}

static void
ask_to_end(awa_worker *w, bool hurry)
{
    pthread_mutex_lock(&w->lock);
    if (w->phase < PHASE_DRAINING)
        w->phase = PHASE_DRAINING;
    w->hurry |= hurry;
    worker_offer(w, true);
    pthread_mutex_unlock(&w->lock);
    worker_wake(w);
}

void
awa_worker_drain(awa_worker *worker)
{
    if (worker != NULL)
        ask_to_end(worker, false);
}

static bool
wait_for_end(awa_worker *w, int64_t timeout_ms)
{
    struct timespec until;
    int64_t at = clock_ms() + timeout_ms;
    bool ended;
    int error = 0;

    until = (struct timespec){ .tv_sec = at / 1000, .tv_nsec = at % 1000 * 1000000 };
    pthread_mutex_lock(&w->lock);
    while (w->phase != PHASE_STOPPED && error == 0)
        error = timeout_ms < 0 ? pthread_cond_wait(&w->ended, &w->lock)
                               : pthread_cond_timedwait(&w->ended, &w->lock, &until);
    ended = w->phase == PHASE_STOPPED;
    pthread_mutex_unlock(&w->lock);
    return ended;
}

awa_status
awa_worker_stop(awa_worker *worker, int64_t timeout_ms, awa_error *reterr)
{
    if (worker == NULL || !worker->io_started)
        return awa__fail(reterr, AWA_EINVAL, "worker: want one that was started");
    ask_to_end(worker, false);
    if (wait_for_end(worker, timeout_ms))
        return AWA_OK;
    ask_to_end(worker, true);
    return awa__fail(reterr, AWA_EBUSY, "worker: jobs still run after %lld ms",
                     (long long)timeout_ms);
}

static void
free_parts(awa_worker *w)
{
    transaction_close_idle(w);
    PQfinish(w->emptiness.probe);
    conn_close(&w->claims);
    conn_close(&w->closes);
    for (struct batch *b = w->batches, *next; b != NULL; b = next) {
        next = b->next;
        batch_free(b);
    }
    for (struct identity *i = w->identities, *next; i != NULL; i = next) {
        next = i->next;
        free(i);
    }
    for (size_t i = 0; i < w->nqueues && w->queues != NULL; i++)
        free(w->queues[i].name);
    for (size_t i = 0; i < w->nkinds; i++)
        free((char *)w->kinds[i].kind);
    free(w->queues);
    free(w->kinds);
    free(w->conninfo);
    free(w->name);
    if (w->wake_fd >= 0)
        (void)close(w->wake_fd);
    if (w->take_fd >= 0)
        (void)close(w->take_fd);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->work);
    pthread_cond_destroy(&w->ended);
}

awa_worker *
awa_worker_free(awa_worker *worker)
{
    if (worker == NULL)
        return NULL;
    ask_to_end(worker, true);
    if (worker->io_started)
        pthread_join(worker->io_thread, NULL);
    leader_join(worker);
    pool_join(worker->pool);
    free_parts(worker);
    free(worker);
    return NULL;
}

void
awa_worker_get_stats(awa_worker *worker, awa_worker_stats *stats)
{
    awa_worker_stats now;
    size_t size = stats->size;

    pthread_mutex_lock(&worker->lock);
    now = worker->counts;
    now.running = (int64_t)worker->running.n;
    now.waiting = (int64_t)worker->todo.n;
    pthread_mutex_unlock(&worker->lock);
    now.queries += leader_queries(worker);
    now.size = size < sizeof now ? size : sizeof now;
    memcpy(stats, &now, now.size);
}
