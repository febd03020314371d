/* SPDX-License-Identifier: MIT */
/*
 * The pull door of awa.h. An attempt goes from todo to running when it is taken, and to done when
 * it is ended. The handler threads (pool.c) use this door, too.
 */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "worker/core.h"
#include "worker/transaction.h"

enum {
    UNKNOWN_KIND_MS = 5000, /* delay of a job whose kind this worker does not know */
};

/* ---- Take -------------------------------------------------------------------------------- */

/*
 * How many attempts to take at once: up to half of what each slot would get of todo, at least one.
 * The caller holds the lock.
 */
static size_t
fair_share(const struct awa_worker *w, size_t max)
{
    size_t slots = (size_t)atomic_load(&w->slots);
    size_t share = slots > 0 ? w->todo.n / (2 * slots) : w->todo.n;

    if (share <= 1)
        return 1;
    return share < max ? share : max;
}

/* Gives a job back, for a worker that knows its kind. The caller holds the lock. */
static void
leave_to_others(struct awa_worker *w, struct awa_attempt *a)
{
    a->end = END_RELEASED;
    a->detailed = true;
    awa_attempt_set_delay(a, UNKNOWN_KIND_MS);
    worker_finish(w, &a, 1);
}

/* Moves up to n attempts from todo to running. The caller holds the lock. */
static size_t
take(struct awa_worker *w, awa_attempt **attempts, size_t n)
{
    size_t taken = 0;
    int64_t now = clock_ms();

    while (taken < n && w->todo.first != NULL) {
        struct awa_attempt *a = w->todo.first;

        list_remove(&w->todo, a);
        if (!a->known) {
            leave_to_others(w, a);
            continue;
        }
        a->started_at = now;
        list_push(&w->running, a);
        attempts[taken++] = a;
    }
    return taken;
}

/* Waits for something to take, or for the drain; false: time is up. The caller holds the lock. */
static bool
wait_for_work(struct awa_worker *w, int64_t timeout_ms, int64_t until)
{
    struct timespec at = { .tv_sec = until / 1000, .tv_nsec = until % 1000 * 1000000 };

    if (timeout_ms == 0)
        return false;
    if (timeout_ms < 0)
        return pthread_cond_wait(&w->work, &w->lock) == 0;
    return pthread_cond_timedwait(&w->work, &w->lock, &at) == 0;
}

awa_status
awa_worker_take_many(awa_worker *worker, int64_t timeout_ms, awa_attempt **ret_attempts, size_t max,
                     size_t *ret_n, awa_error *reterr)
{
    int64_t until = clock_ms() + timeout_ms;
    size_t n = 0;
    bool ends;

    if (worker == NULL || ret_attempts == NULL || ret_n == NULL || max == 0)
        return awa__fail(reterr, AWA_EINVAL, "take: want a worker, and room for attempts");
    pthread_mutex_lock(&worker->lock);
    for (;;) {
        ends = worker->phase >= PHASE_DRAINING;
        if (!ends && worker->todo.first != NULL)
            n = take(worker, ret_attempts, fair_share(worker, max));
        if (ends || n > 0 || !wait_for_work(worker, timeout_ms, until))
            break;
    }
    worker_update_fd(worker);
    pthread_mutex_unlock(&worker->lock);
    *ret_n = n;
    return ends ? awa__fail(reterr, AWA_ENOTFOUND, "take: the worker drains") : AWA_OK;
}

awa_status
awa_worker_take(awa_worker *worker, int64_t timeout_ms, awa_attempt **ret_attempt,
                awa_error *reterr)
{
    size_t n;

    if (ret_attempt == NULL)
        return awa__fail(reterr, AWA_EINVAL, "take: nowhere to put the attempt");
    *ret_attempt = NULL;
    return awa_worker_take_many(worker, timeout_ms, ret_attempt, 1, &n, reterr);
}

/* ---- End --------------------------------------------------------------------------------- */

/* An attempt that gives up after its deadline ends as if the leader had ended it: expired. */
static enum job_end
end_of(const struct awa_attempt *a, awa_outcome outcome)
{
    static const enum job_end ends[] = {
        [AWA_COMPLETE] = END_COMPLETED, [AWA_RETRY] = END_RETRIED,  [AWA_FAIL] = END_FAILED,
        [AWA_CANCEL] = END_CANCELLED,   [AWA_SNOOZE] = END_SNOOZED, [AWA_SETTLED] = END_SETTLED,
        [AWA_RELEASE] = END_RELEASED,
    };
    enum job_end end = (size_t)outcome < sizeof ends / sizeof ends[0] ? ends[outcome] : END_RETRIED;

    if (end == END_RETRIED && !a->has_delay && awa_attempt_cancelled(a) == AWA_CANCEL_DEADLINE)
        return END_EXPIRED;
    return end;
}

/* Runs in the caller's thread, without the lock: it may have to commit a transaction. */
static void
conclude(struct awa_attempt *a, awa_outcome outcome)
{
    a->end = end_of(a, outcome);
    a->trouble = a->end == END_RELEASED && a->error != NULL;
    if (a->session != NULL)
        transaction_end(a);
    if (a->end == END_SETTLED) {
        awa__ignore(awa_attempt_set_error(a, "its own transaction did not complete it"));
        free(TAKE(a->follow)); /* that transaction has them, see awa.complete_job() */
    }
    a->detailed = a->end != END_COMPLETED || a->output != NULL || a->follow != NULL;
}

void
awa_attempts_end(awa_attempt **attempts, const awa_outcome *outcomes, size_t n)
{
    struct awa_worker *w;

    if (n == 0)
        return;
    w = attempts[0]->worker;
    for (size_t i = 0; i < n; i++)
        conclude(attempts[i], outcomes[i]);
    pthread_mutex_lock(&w->lock);
    for (size_t i = 0; i < n; i++)
        list_remove(&w->running, attempts[i]);
    worker_finish(w, attempts, n);
    pthread_mutex_unlock(&w->lock);
    memset(attempts, 0, n * sizeof *attempts);
}

void
awa_attempt_end(awa_attempt **attempt, awa_outcome outcome)
{
    if (attempt != NULL && *attempt != NULL)
        awa_attempts_end(attempt, &outcome, 1);
}

/* ---- The descriptor, cancelled attempts, slots ------------------------------------------- */

int
awa_worker_fd(awa_worker *worker)
{
    int fd;

    pthread_mutex_lock(&worker->lock);
    if (worker->take_fd < 0) {
        worker->take_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        worker_update_fd(worker);
    }
    fd = worker->take_fd;
    pthread_mutex_unlock(&worker->lock);
    return fd;
}

awa_attempt *
awa_worker_next_cancelled(awa_worker *worker)
{
    struct awa_attempt *a;

    pthread_mutex_lock(&worker->lock);
    a = worker->cancelled;
    if (a != NULL)
        worker_forget_cancel(worker, a);
    worker_update_fd(worker);
    pthread_mutex_unlock(&worker->lock);
    return a;
}

awa_status
awa_worker_set_slots(awa_worker *worker, int64_t slots, awa_error *reterr)
{
    if (worker == NULL || !worker->pulled)
        return awa__fail(reterr, AWA_EINVAL, "slots: want a worker without handlers");
    if (slots < 0 || slots > SLOTS_MAX)
        return awa__fail(reterr, AWA_EINVAL, "slots: want 0 to %d, got %lld", SLOTS_MAX,
                         (long long)slots);
    atomic_store(&worker->slots, slots);
    worker_wake(worker);
    return AWA_OK;
}
