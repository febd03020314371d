/* SPDX-License-Identifier: MIT */
/* See core.h. */
#include "worker/core.h"

#include <stdarg.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"

/* ---- Lists of jobs ----------------------------------------------------------------------- */

void
list_push(struct job_list *list, struct awa_attempt *job)
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

void
list_remove(struct job_list *list, struct awa_attempt *job)
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

struct awa_attempt *
list_take_all(struct job_list *list)
{
    struct awa_attempt *first = list->first;

    *list = (struct job_list){ 0 };
    return first;
}

/* ---- What every part of a worker does ---------------------------------------------------- */

bool
worker_knows(const struct awa_worker *w, const char *kind)
{
    for (size_t i = 0; i < w->nkinds; i++)
        if (w->kinds[i].kind == NULL || strcmp(w->kinds[i].kind, kind) == 0)
            return true;
    return w->nkinds == 0;
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

void
worker_update_fd(struct awa_worker *w)
{
    bool something = w->todo.first != NULL || w->cancelled != NULL || w->phase >= PHASE_DRAINING;
    eventfd_t ignored;

    if (w->take_fd < 0 || something == w->take_fd_raised)
        return;
    w->take_fd_raised = something;
    if (something)
        (void)eventfd_write(w->take_fd, 1);
    else
        (void)eventfd_read(w->take_fd, &ignored);
}

void
worker_offer(struct awa_worker *w, bool many)
{
    if (many)
        pthread_cond_broadcast(&w->work);
    else
        pthread_cond_signal(&w->work);
    worker_update_fd(w);
}

void
worker_finish(struct awa_worker *w, struct awa_attempt **attempts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (attempts[i]->noted)
            worker_forget_cancel(w, attempts[i]);
        list_push(&w->done, attempts[i]);
    }
    if (w->io_listens) {
        w->io_listens = false;
        worker_wake(w);
    }
}

/* Only for programs that take attempts: a handler calls awa_attempt_cancelled() by itself. */
void
worker_note_cancel(struct awa_worker *w, struct awa_attempt *attempt)
{
    if (!w->pulled)
        return;
    attempt->noted = true;
    attempt->next_cancelled = w->cancelled;
    w->cancelled = attempt;
    worker_update_fd(w);
}

void
worker_forget_cancel(struct awa_worker *w, struct awa_attempt *attempt)
{
    struct awa_attempt **link = &w->cancelled;

    while (*link != attempt)
        link = &(*link)->next_cancelled;
    *link = attempt->next_cancelled;
    attempt->noted = false;
}

void
worker_job_closed(struct awa_worker *w, struct awa_attempt *job)
{
    job->phase = JOB_CLOSED;
    job->batch->open--;
    job->batch->identity->held--;
    w->held--;
    w->any_closed = true;
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

/* 0 to max, at random: workers that lost one server must not all come back at the same moment. */
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

void
worker_release_waiting(struct awa_worker *w)
{
    pthread_mutex_lock(&w->lock);
    for (struct awa_attempt *job = list_take_all(&w->todo), *next; job != NULL; job = next) {
        next = job->next;
        job->end = END_RELEASED;
        job->detailed = true;
        list_push(&w->done, job);
    }
    pthread_mutex_unlock(&w->lock);
}
