/* SPDX-License-Identifier: MIT */
/* The handler threads: take jobs from todo, run them, put them into done. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "worker/pool.h"
#include "worker/transaction.h"

enum {
    CHUNK_MAX = 64,    /* jobs that a thread takes at once while jobs are short */
    SHORT_JOB_US = 50, /* longer ones are taken one by one, so that none waits behind another */
};

static int64_t
now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Moves up to n jobs from todo to running. The caller holds the lock. */
static size_t
take(struct awa_worker *w, struct awa_job **jobs, size_t n)
{
    size_t taken = 0;
    int64_t now = clock_ms();

    while (taken < n && w->todo.first != NULL) {
        struct awa_job *job = w->todo.first;

        list_remove(&w->todo, job);
        job->started_at = now;
        list_push(&w->running, job);
        jobs[taken++] = job;
    }
    return taken;
}

/* How many jobs at once: many while they are short and there are enough for everybody. */
static size_t
chunk(const struct handler *h)
{
    const struct awa_worker *w = h->worker;
    size_t share = w->todo.n / (2 * (size_t)w->nthreads);

    if (h->mean_us > SHORT_JOB_US || share <= 1)
        return 1;
    return share < CHUNK_MAX ? share : CHUNK_MAX;
}

/* An attempt that gives up after its deadline is one that the leader would have ended. */
static enum job_end
end_of(const struct awa_job *job, awa_outcome outcome)
{
    static const enum job_end ends[] = {
        [AWA_COMPLETE] = END_COMPLETED, [AWA_RETRY] = END_RETRIED,  [AWA_FAIL] = END_FAILED,
        [AWA_CANCEL] = END_CANCELLED,   [AWA_SNOOZE] = END_SNOOZED,
    };

    enum job_end end = (size_t)outcome < sizeof ends / sizeof ends[0] ? ends[outcome] : END_RETRIED;

    if (end == END_RETRIED && !job->has_delay && atomic_load(&job->cancelled) == CANCEL_DEADLINE)
        return END_EXPIRED;
    return end;
}

/* ---- The thread -------------------------------------------------------------------------- */

static void
run(struct handler *h, struct awa_job *job)
{
    job->handler = h;
    if (job->kind == NULL) {
        job->end = END_RELEASED; /* for a worker that knows it */
        awa_job_set_delay(job, UNKNOWN_KIND_MS);
    } else {
        awa_outcome outcome = job->kind->handler(job, job->kind->userdata);

        job->end = job->given_back ? END_RELEASED : end_of(job, outcome);
    }
    if (job->session != NULL) {
        transaction_end(job);
        job->session = NULL;
    }
    job->wordy = job->end != END_COMPLETED || job->output != NULL;
}

static void
finish(struct awa_worker *w, struct awa_job **jobs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        list_remove(&w->running, jobs[i]);
        list_push(&w->done, jobs[i]);
    }
    if (w->io_listens) {
        w->io_listens = false;
        (void)eventfd_write(w->wake_fd, 1);
    }
}

static void *
handler_thread(void *arg)
{
    struct handler *h = arg;
    struct awa_worker *w = h->worker;
    struct awa_job *jobs[CHUNK_MAX];

    pthread_mutex_lock(&w->lock);
    for (;;) {
        size_t n;
        int64_t began;

        while (w->todo.first == NULL && !w->handlers_end)
            pthread_cond_wait(&w->work, &w->lock);
        if (w->todo.first == NULL)
            break;
        n = take(w, jobs, chunk(h));
        pthread_mutex_unlock(&w->lock);

        began = now_us();
        for (size_t i = 0; i < n; i++)
            run(h, jobs[i]);
        if (!jobs[n - 1]->given_back) /* its time says nothing about those that begin */
            h->mean_us += ((now_us() - began) / (int64_t)n - h->mean_us) / 4;

        pthread_mutex_lock(&w->lock);
        finish(w, jobs, n);
    }
    pthread_mutex_unlock(&w->lock);
    PQfinish(TAKE(h->session));
    return NULL;
}

awa_status
pool_start(struct awa_worker *w, awa_error *err)
{
    w->handlers = calloc((size_t)w->nthreads, sizeof *w->handlers);
    if (w->handlers == NULL)
        return awa__fail(err, AWA_ENOMEM, "worker: out of memory");
    while (w->handlers_started < (size_t)w->nthreads) {
        struct handler *h = &w->handlers[w->handlers_started];
        int error;

        h->worker = w;
        h->mean_us = SHORT_JOB_US + 1;
        error = pthread_create(&h->thread, NULL, handler_thread, h);
        if (error != 0) {
            errno = error;
            return awa__fail(err, AWA_ESYS, "worker: only %zu of %lld threads: %m",
                             w->handlers_started, (long long)w->nthreads);
        }
        w->handlers_started++;
    }
    return AWA_OK;
}

void
pool_join(struct awa_worker *w)
{
    pthread_mutex_lock(&w->lock);
    w->handlers_end = true;
    pthread_cond_broadcast(&w->work);
    pthread_mutex_unlock(&w->lock);
    while (w->handlers_started > 0)
        pthread_join(w->handlers[--w->handlers_started].thread, NULL);
    free(TAKE(w->handlers));
}
