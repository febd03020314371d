/* SPDX-License-Identifier: MIT */
/* The handler threads: take jobs from todo, run them, put them into done. */
#include <errno.h>
#include <string.h>

#include "lib/clock.h"
#include "worker/worker.h"

enum {
    CHUNK_MAX = 64,    /* jobs that a thread takes at once while jobs are short */
    SHORT_JOB_US = 50, /* longer ones are taken one by one, so that none waits behind another */
};

void
list_push(struct job_list *list, struct awa_job *job)
{
    job->next = NULL;
    job->prev = list->last;
    if (list->last != NULL)
        list->last->next = job;
    else
        list->first = job;
    list->last = job;
    list->n++;
}

static void
list_remove(struct job_list *list, struct awa_job *job)
{
    if (job->prev != NULL)
        job->prev->next = job->next;
    else
        list->first = job->next;
    if (job->next != NULL)
        job->next->prev = job->prev;
    else
        list->last = job->prev;
    list->n--;
}

struct awa_job *
list_take_all(struct job_list *list)
{
    struct awa_job *first = list->first;

    *list = (struct job_list){ 0 };
    return first;
}

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

/* ---- A job's own transaction ------------------------------------------------------------- */

/* A session that was idle since the last job may have died: then there is a new one. */
static awa_status
begin(struct handler *h, awa_error *err)
{
    awa_status s;

    if (h->session != NULL && awa__sql_say(h->session, "transaction", "BEGIN", NULL) != AWA_OK)
        PQfinish(TAKE(h->session));
    if (h->session != NULL)
        return AWA_OK;
    s = awa_connect(h->worker->conninfo, &h->session, err);
    return s == AWA_OK ? awa__sql_say(h->session, "transaction", "BEGIN", err) : s;
}

awa_status
awa_job_transaction(awa_job *job, PGconn **ret_conn, awa_error *reterr)
{
    awa_status s;

    if (ret_conn == NULL)
        return awa__fail(reterr, AWA_EINVAL, "transaction: nowhere to put the session");
    if (job->session != NULL) {
        *ret_conn = job->session;
        return AWA_OK;
    }
    s = begin(job->handler, reterr);
    if (s != AWA_OK)
        return s;
    job->session = job->handler->session;
    *ret_conn = job->session;
    return AWA_OK;
}

static awa_status
complete_and_commit(struct awa_job *job, awa_error *err)
{
    char worker[24], claim[24], pos[24];
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s;

    snprintf(worker, sizeof worker, "%lld", (long long)job->batch->identity->id);
    snprintf(claim, sizeof claim, "%lld", (long long)job->batch->claim_id);
    snprintf(pos, sizeof pos, "%lld", (long long)job->pos);
    s = awa__sql_ask(job->session, SQL_JOB_COMPLETE,
                     (const char *[]){ worker, claim, pos, job->output }, &res, err);
    if (s == AWA_OK)
        s = awa__sql_say(job->session, "commit", "COMMIT", err);
    return s;
}

static void
rollback(PGconn *session)
{
    if (PQtransactionStatus(session) != PQTRANS_IDLE) /* the server would warn */
        awa__ignore(awa__sql_say(session, "rollback", "ROLLBACK", NULL));
}

/*
 * Ends the job's transaction as its outcome wants. A commit whose answer was lost may have
 * happened: then the retry that we report is stale, and changes nothing.
 */
static void
end_transaction(struct awa_job *job)
{
    awa_error err;
    awa_status s = AWA_OK;

    if (job->end != END_COMPLETED) {
        rollback(job->session);
        return;
    }
    if (PQtransactionStatus(job->session) != PQTRANS_INTRANS)
        s = awa__fail(&err, AWA_EINVAL, "the handler's transaction failed, or was ended by it");
    else
        s = complete_and_commit(job, &err);
    if (s == AWA_OK) {
        job->end = END_IN_TRANSACTION;
        return;
    }
    rollback(job->session);
    if (s == AWA_ESTALE) {
        job->end = END_STALE;
    } else {
        job->end = END_RETRIED;
        awa__ignore(awa_job_set_error(job, err.message));
    }
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
        end_transaction(job);
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
