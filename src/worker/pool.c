/* SPDX-License-Identifier: MIT */
/* See pool.h. */
#include "worker/pool.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/own.h"

enum {
    CHUNK_MAX = 64,    /* attempts that a thread takes at once while jobs are short */
    SHORT_JOB_US = 50, /* longer jobs are taken one by one, so that none waits behind another */
};

struct handler {
    struct pool *pool;
    pthread_t thread;
    int64_t mean_us; /* how long its last jobs took, a moving mean */
};

struct pool {
    awa_worker *worker;
    const awa_kind *kinds;
    size_t nkinds, started;
    struct handler handlers[];
};

static int64_t
now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* The entry for a kind, or the one for all others. Attempts without an entry are not handed out. */
static const awa_kind *
find_kind(const struct pool *pool, const char *kind)
{
    const awa_kind *any = NULL;

    for (size_t i = 0; i < pool->nkinds; i++) {
        if (pool->kinds[i].kind == NULL)
            any = &pool->kinds[i];
        else if (strcmp(pool->kinds[i].kind, kind) == 0)
            return &pool->kinds[i];
    }
    return any;
}

static awa_outcome
run(const struct pool *pool, awa_attempt *attempt)
{
    const awa_kind *kind = find_kind(pool, awa_attempt_kind(attempt));

    return kind->handler(attempt, kind->userdata);
}

static void *
handler_thread(void *arg)
{
    struct handler *h = arg;
    awa_attempt *attempts[CHUNK_MAX];
    awa_outcome outcomes[CHUNK_MAX];
    size_t n;

    while (awa_worker_take_many(h->pool->worker, -1, attempts,
                                h->mean_us > SHORT_JOB_US ? 1 : CHUNK_MAX, &n, NULL) == AWA_OK) {
        int64_t began = now_us();

        for (size_t i = 0; i < n; i++)
            outcomes[i] = run(h->pool, attempts[i]);
        if (n > 0 && outcomes[n - 1] != AWA_RELEASE) /* a job that did not begin tells no time */
            h->mean_us += ((now_us() - began) / (int64_t)n - h->mean_us) / 4;
        awa_attempts_end(attempts, outcomes, n);
    }
    return NULL;
}

awa_status
pool_start(awa_worker *worker, const awa_kind *kinds, size_t nkinds, size_t nthreads,
           struct pool **ret_pool, awa_error *err)
{
    struct pool *pool = calloc(1, sizeof *pool + nthreads * sizeof pool->handlers[0]);

    if (pool == NULL)
        return awa__fail(err, AWA_ENOMEM, "worker: out of memory");
    pool->worker = worker;
    pool->kinds = kinds;
    pool->nkinds = nkinds;
    *ret_pool = pool;
    while (pool->started < nthreads) {
        struct handler *h = &pool->handlers[pool->started];
        int error;

        h->pool = pool;
        h->mean_us = SHORT_JOB_US + 1;
        error = pthread_create(&h->thread, NULL, handler_thread, h);
        if (error != 0) {
            errno = error;
            return awa__fail(err, AWA_ESYS, "worker: only %zu of %zu threads: %m", pool->started,
                             nthreads);
        }
        pool->started++;
    }
    return AWA_OK;
}

void
pool_join(struct pool *pool)
{
    if (pool == NULL)
        return;
    while (pool->started > 0)
        pthread_join(pool->handlers[--pool->started].thread, NULL);
    free(pool);
}
