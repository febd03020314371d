/* SPDX-License-Identifier: MIT */
/* The worker's life, and its I/O thread. See worker.h for who owns what. */
#include "worker/worker.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>
#include <sys/random.h>

#include "lib/clock.h"

enum {
    BACKOFF_FIRST_MS = 100, /* between attempts to connect; doubles, with jitter */
    BACKOFF_MAX_MS =
        2000,        /* below the grace in awa.settings: who lost his server comes back in time */
    RATE_MS = 100,   /* over which the rate of finished jobs is measured */
    HURRY_MS = 5000, /* how long a worker that is freed waits for answers on their way */
};

/* ---- Small things ------------------------------------------------------------------------ */

const awa_kind *
worker_find_kind(const struct awa_worker *w, const char *kind)
{
    const awa_kind *any = NULL;

    for (size_t i = 0; i < w->nkinds; i++) {
        if (w->kinds[i].kind == NULL)
            any = &w->kinds[i];
        else if (strcmp(w->kinds[i].kind, kind) == 0)
            return &w->kinds[i];
    }
    return any;
}

void
worker_log(struct awa_worker *w, const char *format, ...)
{
    char line[1000];
    va_list args;
    int len;

    if (w->log == NULL)
        return;
    va_start(args, format);
    len = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    awa__one_line(line, len >= (int)sizeof line);
    w->log(w->log_userdata, line);
}

void
worker_complain(struct awa_worker *w, struct complaints *c, const char *format, ...)
{
    int64_t unsaid;
    char line[300];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (!complaints_hear(c, line, clock_ms(), &unsaid))
        return;
    if (unsaid > 0)
        worker_log(w, "%s (and %lld times before)", line, (long long)unsaid);
    else
        worker_log(w, "%s", line);
}

void
worker_wake(struct awa_worker *w)
{
    (void)eventfd_write(w->wake_fd, 1);
}

static void
free_settled_batches(struct awa_worker *w)
{
    struct batch **link = &w->batches;

    while (*link != NULL) {
        struct batch *b = *link;

        if (b->unsettled > 0) {
            link = &b->next;
            continue;
        }
        *link = b->next;
        w->held_bytes -= b->bytes;
        batch_free(b);
    }
    w->last_batch = link;
}

void
worker_settle(struct awa_worker *w, struct awa_job *job)
{
    job->phase = JOB_SETTLED;
    job->batch->unsettled--;
    job->batch->identity->held--;
    w->held--;
    w->any_settled = true;
}

void
worker_count(struct awa_worker *w, enum job_end end, size_t n, size_t stale)
{
    pthread_mutex_lock(&w->lock);
    w->counts.stale += (int64_t)stale;
    if (end == END_COMPLETED || end == END_IN_TRANSACTION)
        w->counts.completed += (int64_t)n;
    else if (end == END_RELEASED)
        w->counts.released += (int64_t)n;
    else
        w->counts.failed += (int64_t)n;
    pthread_mutex_unlock(&w->lock);
}

void
worker_count_end(struct awa_worker *w, enum job_end end, bool stale)
{
    worker_count(w, end, !stale, stale);
}

void
worker_queue_names(const struct awa_worker *w, struct buffer *queues)
{
    buffer_array_begin(queues);
    for (size_t i = 0; i < w->nqueues; i++)
        buffer_array_text(queues, w->queues[i].name);
    buffer_array_end(queues);
}

void
worker_doubt(struct awa_worker *w, int64_t claims)
{
    pthread_mutex_lock(&w->lock);
    w->counts.in_doubt += claims;
    pthread_mutex_unlock(&w->lock);
}

/* ---- Sessions ---------------------------------------------------------------------------- */

static const enum awa__sql_id claim_statements[] = {
    SQL_JOBS_CLAIM,       SQL_QUEUES_HUNGRY,     SQL_WORKER_HEARTBEAT,
    SQL_WORKER_RECONCILE, SQL_WORKER_DEREGISTER, SQL_QUEUES_LISTEN,
    SQL_SESSION_UNLISTEN, SQL_QUEUES_READY,      SQL_COUNT
};
static const enum awa__sql_id close_statements[] = { SQL_JOBS_COMPLETE, SQL_JOBS_CLOSE, SQL_COUNT };

void
worker_drop_claims(struct awa_worker *w, const awa_error *why)
{
    if (conn_is_open(&w->claims))
        worker_complain(w, &w->complaints, "session for claims: %s", why->message);
    conn_close(&w->claims);
}

void
worker_drop_closes(struct awa_worker *w, const awa_error *why)
{
    if (conn_is_open(&w->closes))
        worker_complain(w, &w->complaints, "session for results: %s", why->message);
    conn_close(&w->closes);
}

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
    claim_look(w, NULL); /* the channel of a long queue name is a hash, so any of ours */
}

/* What a server says as it goes. Without this, libpq would print it. */
static void
noticed(void *arg, const char *message)
{
    struct awa_worker *w = arg;

    worker_complain(w, &w->complaints, "server: %.*s", (int)strcspn(message, "\n"), message);
}

static awa_status
open_sessions(struct awa_worker *w, awa_error *err)
{
    awa_status s = AWA_OK;

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

/* Up to max, at random: workers that have lost the same server should not come back in step. */
static int64_t
jitter(int64_t max)
{
    uint32_t drawn;

    if (getrandom(&drawn, sizeof drawn, 0) != sizeof drawn)
        return max;
    return drawn % (max + 1);
}

int64_t
worker_back_off(int64_t *ms, int64_t first, int64_t max)
{
    int64_t now = *ms > first ? *ms : first;

    *ms = now * 2 < max ? now * 2 : max;
    return now / 2 + jitter(now / 2);
}

/* Replaces lost sessions, with backoff and jitter, for ever. */
static void
connect_turn(struct awa_worker *w, int64_t now)
{
    awa_error err;

    if ((conn_is_open(&w->claims) && conn_is_open(&w->closes)) || now < w->connect_at)
        return;
    if (open_sessions(w, &err) == AWA_OK) {
        w->backoff_ms = 0;
        pthread_mutex_lock(&w->lock);
        w->counts.reconnects++;
        pthread_mutex_unlock(&w->lock);
        return;
    }
    worker_complain(w, &w->complaints, "connect: %s", err.message);
    w->connect_at = clock_ms() + worker_back_off(&w->backoff_ms, BACKOFF_FIRST_MS, BACKOFF_MAX_MS);
}

/* ---- The I/O thread ---------------------------------------------------------------------- */

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

void
worker_release_waiting(struct awa_worker *w)
{
    pthread_mutex_lock(&w->lock);
    for (struct awa_job *job = list_take_all(&w->todo), *next; job != NULL; job = next) {
        next = job->next;
        job->end = END_RELEASED;
        job->wordy = true;
        list_push(&w->done, job);
    }
    pthread_mutex_unlock(&w->lock);
}

/*
 * Notices the wish to drain; true once nothing is left to do. Answers that are on their way are
 * waited for even in a hurry: a claim may bring jobs that have to go back, and good-bye can only be
 * said on a session that is silent.
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
    if (!hurry || w->busy > 0)
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

/* Sleeps until something arrives or is due. */
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

static void *
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
        if (w->any_settled) {
            w->any_settled = false;
            free_settled_batches(w);
        }
        note_counts(w);
        wait_turn(w);
    }
    identity_bye(w);
    conn_close(&w->claims);
    conn_close(&w->closes);
    free_settled_batches(w);
    pthread_mutex_lock(&w->lock);
    w->phase = PHASE_STOPPED;
    pthread_cond_broadcast(&w->ended);
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

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
    if (o->nkinds == 0 || o->kinds == NULL)
        return awa__fail(err, AWA_EINVAL, "worker: want at least one kind with a handler");
    w->kinds = calloc(o->nkinds, sizeof *w->kinds);
    if (w->kinds == NULL)
        return awa__fail(err, AWA_ENOMEM, "worker: out of memory");
    for (size_t i = 0; i < o->nkinds; i++) {
        if (o->kinds[i].handler == NULL)
            return awa__fail(err, AWA_EINVAL, "worker: kind %zu has no handler", i);
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

/* A number within limits; 0 means the default. */
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
    awa_status s;

    w->no_leader = o->no_leader != 0;
    w->pooled = o->pooled != 0;
    w->log = o->log;
    w->log_userdata = o->log_userdata;
    w->conninfo = strdup(o->conninfo != NULL ? o->conninfo : "");
    w->name = o->name != NULL ? strdup(o->name) : default_name();
    if (w->conninfo == NULL || w->name == NULL)
        return awa__fail(err, AWA_ENOMEM, "worker: out of memory");
    s = take_number(&w->nthreads, "threads", o->threads, cpus > 0 ? cpus : 1, 1, THREADS_MAX, err);
    if (s == AWA_OK)
        s = take_number(&w->batch, "batch", o->batch, 1000, 1, BATCH_MAX, err);
    if (s == AWA_OK)
        s = take_number(&w->prefetch, "prefetch", o->prefetch, 0, -1, 100000, err);
    if (s == AWA_OK)
        s = take_number(&w->poll_ms, "poll_ms", o->poll_ms, HEARTBEAT_MS, 10, 60000, err);
    if (s == AWA_OK)
        s = copy_queues(w, o, err);
    if (s == AWA_OK)
        s = copy_kinds(w, o, err);
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
    pthread_cond_init(&w->work, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&w->ended, &monotonic);
    pthread_condattr_destroy(&monotonic);
    w->last_batch = &w->batches;
    w->wordy_max = SIZE_MAX;
    w->claims.arg = w->closes.arg = w;
    w->claims.notify = heard;
    w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (w->wake_fd < 0)
        return awa__fail(reterr, AWA_ESYS, "worker: no event descriptor: %m");

    s = copy_options(w, &o, reterr);
    if (s == AWA_OK)
        s = open_sessions(w, reterr);
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
    s = pool_start(worker, reterr);
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
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->work);
    pthread_cond_destroy(&w->ended);
}

awa_worker *
awa_worker_free(awa_worker *worker)
{
    if (worker == NULL)
        return NULL;
    if (worker->io_started) {
        ask_to_end(worker, true);
        pthread_join(worker->io_thread, NULL);
    }
    leader_join(worker);
    pool_join(worker);
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
