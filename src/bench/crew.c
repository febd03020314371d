/* SPDX-License-Identifier: MIT */
#include "bench/crew.h"

#include <errno.h>

#include "bench/clock.h"
#include "bench/payload.h"

enum {
    RING = 1 << 20, /* the most jobs of a worker that ended and are not known to be durable */
    WATCH_US = 1000,
    SPIN_US = 50,   /* a shorter job keeps its CPU busy, a longer one sleeps */
    NAP_US = 50000, /* the longest sleep between two looks */
    STOP_MS = 30000,
    FOLLOW_MS = 60000,
};

struct member {
    struct crew *crew;
    awa_worker *worker;
    atomic_uint_least32_t *ended; /* RING numbers plus 1, in the order of ends; 0: to come */
    atomic_int_least64_t nended;
    int64_t nseen; /* how many of them are known to be durable; owned by the watch */
};

struct crew {
    struct tally *tally;
    int64_t handler_us, fail_percent;
    pthread_t watch;
    bool watched;
    atomic_bool stop;
    awa_worker *followers; /* runs what follows from the jobs; NULL: nothing does */
    atomic_int_least64_t followed;
    size_t n;
    struct member each[];
};

/* ---- Handlers ---------------------------------------------------------------------------- */

/* Works for `us`; ends early if the attempt is cancelled. */
static void
work(const awa_attempt *job, int64_t us)
{
    int64_t now = clock_us(), until = now + us;

    while (now < until && awa_attempt_cancelled(job) == AWA_GO_ON) {
        if (us > SPIN_US)
            clock_sleep_until(until - now < NAP_US ? until : now + NAP_US);
        now = clock_us();
    }
}

static awa_outcome
handle(awa_attempt *job, void *userdata)
{
    struct member *m = userdata;
    int64_t entered = clock_us();
    int64_t number, place;
    size_t len;
    const char *args = awa_attempt_args(job, &len);

    if (!payload_read(args, len, &number) || number >= TALLY_MAX) {
        awa__ignore(awa_attempt_set_error(job, "not a job of this bench"));
        return AWA_FAIL;
    }
    tally_ran(m->crew->tally, number, entered);
    if (m->crew->handler_us > 0)
        work(job, m->crew->handler_us);
    place = atomic_fetch_add(&m->nended, 1);
    atomic_store(&m->ended[place % RING], (uint32_t)number + 1);
    if (number % 100 >= m->crew->fail_percent)
        return AWA_COMPLETE;
    awa__ignore(awa_attempt_set_error(job, "one of those that fail"));
    return AWA_FAIL;
}

static awa_outcome
follow(awa_attempt *job, void *userdata)
{
    struct crew *c = userdata;

    (void)job;
    atomic_fetch_add(&c->followed, 1);
    return AWA_COMPLETE;
}

/* ---- The watch --------------------------------------------------------------------------- */

static int64_t
look_at(struct member *m)
{
    awa_worker_stats stats = { .size = sizeof stats };
    int64_t now, ended;

    awa_worker_get_stats(m->worker, &stats);
    now = clock_us();
    ended = stats.completed + stats.failed;
    while (m->nseen < ended) {
        uint32_t plus_1 = atomic_exchange(&m->ended[m->nseen % RING], 0);

        if (plus_1 == 0)
            break; /* a handler is about to write it: the next look finds it */
        tally_ended(m->crew->tally, (int64_t)plus_1 - 1, now);
        m->nseen++;
    }
    return ended;
}

static void
look(struct crew *c)
{
    int64_t durable = 0;

    for (size_t i = 0; i < c->n; i++)
        durable += look_at(&c->each[i]);
    tally_durable(c->tally, durable);
}

static void *
watch_thread(void *arg)
{
    struct crew *c = arg;

    while (!atomic_load(&c->stop)) {
        look(c);
        clock_sleep_until(clock_us() + WATCH_US);
    }
    return NULL;
}

/* ---- From outside ------------------------------------------------------------------------ */

static void
say_line(void *userdata, const char *line)
{
    (void)userdata;
    fprintf(stderr, "awa: worker: %s\n", line);
}

static awa_status
hire(struct member *m, const char *conninfo, const struct plan *plan, awa_error *err)
{
    const awa_kind kind = { .kind = "bench", .handler = handle, .userdata = m };

    m->ended = calloc(RING, sizeof *m->ended);
    if (m->ended == NULL)
        return awa__fail(err, AWA_ENOMEM, "bench: out of memory");
    return awa_worker_new(AWA_WORKER(.conninfo = conninfo, .kinds = &kind, .nkinds = 1,
                                     .threads = plan->threads, .batch = plan->claim_batch,
                                     .prefetch = plan->prefetch, .log = say_line),
                          &m->worker, err);
}

static awa_status
hire_followers(struct crew *c, const char *conninfo, const struct plan *plan, awa_error *err)
{
    const char *queue = "next";
    const awa_kind kind = { .kind = "next", .handler = follow, .userdata = c };

    return awa_worker_new(AWA_WORKER(.conninfo = conninfo, .queues = &queue, .nqueues = 1,
                                     .kinds = &kind, .nkinds = 1, .threads = plan->threads,
                                     .no_leader = 1, .log = say_line),
                          &c->followers, err);
}

awa_status
crew_new(const char *conninfo, const struct plan *plan, struct tally *tally, struct crew **ret_crew,
         awa_error *err)
{
    size_t n = (size_t)plan->workers;
    AUTO(crew) struct crew *c = calloc(1, sizeof *c + n * sizeof c->each[0]);
    awa_status s = AWA_OK;

    if (c == NULL)
        return awa__fail(err, AWA_ENOMEM, "bench: out of memory");
    c->tally = tally;
    c->handler_us = plan->handler_us;
    c->fail_percent = plan->fail_percent;
    for (; c->n < n && s == AWA_OK; c->n++) {
        c->each[c->n].crew = c;
        s = hire(&c->each[c->n], conninfo, plan, err);
    }
    if (s == AWA_OK && plan->follow)
        s = hire_followers(c, conninfo, plan, err);
    if (s != AWA_OK)
        return s;
    *ret_crew = TAKE(c);
    return AWA_OK;
}

awa_status
crew_start(struct crew *c, awa_error *err)
{
    awa_status s = AWA_OK;

    for (size_t i = 0; i < c->n && s == AWA_OK; i++)
        s = awa_worker_start(c->each[i].worker, err);
    if (s == AWA_OK && c->followers != NULL)
        s = awa_worker_start(c->followers, err);
    if (s != AWA_OK)
        return s;
    errno = pthread_create(&c->watch, NULL, watch_thread, c);
    if (errno != 0)
        return awa__fail(err, AWA_ESYS, "bench: no thread: %m");
    c->watched = true;
    return AWA_OK;
}

static void
end_watch(struct crew *c)
{
    atomic_store(&c->stop, true);
    if (c->watched)
        pthread_join(c->watch, NULL);
    c->watched = false;
}

int64_t
crew_unmatched(struct crew *c)
{
    int64_t ended = 0;

    for (size_t i = 0; i < c->n; i++)
        ended += c->each[i].nseen;
    return c->followers == NULL ? 0 : llabs(ended - atomic_load(&c->followed));
}

awa_status
crew_stop(struct crew *c, awa_error *err)
{
    awa_status s = AWA_OK;

    for (size_t i = 0; i < c->n; i++)
        awa_worker_drain(c->each[i].worker);
    for (size_t i = 0; i < c->n && s == AWA_OK; i++)
        s = awa_worker_stop(c->each[i].worker, STOP_MS, err);
    end_watch(c);
    look(c);
    for (int64_t until = clock_us() + FOLLOW_MS * 1000LL;
         crew_unmatched(c) > 0 && clock_us() < until;)
        clock_sleep_until(clock_us() + NAP_US);
    if (s == AWA_OK && c->followers != NULL)
        s = awa_worker_stop(c->followers, STOP_MS, err);
    return s;
}

int64_t
crew_queries(struct crew *c)
{
    int64_t queries = 0;

    for (size_t i = 0; i < c->n; i++) {
        awa_worker_stats stats = { .size = sizeof stats };

        awa_worker_get_stats(c->each[i].worker, &stats);
        queries += stats.queries;
    }
    return queries;
}

struct crew *
crew_free(struct crew *c)
{
    if (c == NULL)
        return NULL;
    end_watch(c);
    for (size_t i = 0; i < c->n; i++) {
        (void)awa_worker_free(c->each[i].worker);
        free(c->each[i].ended);
    }
    (void)awa_worker_free(c->followers);
    free(c);
    return NULL;
}
