/* SPDX-License-Identifier: MIT */
/*
 * Being alive, as the database sees it: heartbeats, and what comes back with them: jobs that this
 * worker has lost, queues that may have work, a server that is another one than before.
 */
#include <string.h>

#include "lib/clock.h"
#include "worker/array.h"
#include "worker/worker.h"

enum {
    LONG_RUNNING_MS = 2000, /* attempts that have run for so long are asked about */
    ASKED_MAX = 10000,      /* in one heartbeat */
    WATCH_MS = 100,         /* how often deadlines are looked at */
};

/* ---- Heartbeat --------------------------------------------------------------------------- */

struct question {
    struct buffer workers, hungry, claims, positions;
};

static void
question_done(struct question *q)
{
    buffer_done(&q->workers);
    buffer_done(&q->hungry);
    buffer_done(&q->claims);
    buffer_done(&q->positions);
}

static void
add_running(struct awa_worker *w, struct question *q, int64_t started_before)
{
    size_t n = 0;

    buffer_array_begin(&q->claims);
    buffer_array_begin(&q->positions);
    pthread_mutex_lock(&w->lock);
    for (struct awa_job *job = w->running.first; job != NULL && n < ASKED_MAX; job = job->next) {
        if (job->started_at > started_before)
            break; /* the list is in order of starting */
        buffer_array_int(&q->claims, job->batch->claim_id);
        buffer_array_int(&q->positions, job->pos);
        n++;
    }
    pthread_mutex_unlock(&w->lock);
    buffer_array_end(&q->claims);
    buffer_array_end(&q->positions);
}

/* False: out of memory. */
static bool
ask(struct awa_worker *w, struct question *q, bool idle, int64_t started_before)
{
    buffer_array_begin(&q->workers);
    for (struct identity *i = w->identities; i != NULL; i = i->next)
        if (i == w->identities || i->held > 0) /* what we do not know of may be rescued */
            buffer_array_int(&q->workers, i->id);
    buffer_array_end(&q->workers);
    buffer_array_begin(&q->hungry);
    for (size_t i = 0; i < w->nqueues && idle; i++)
        if (w->queues[i].dry)
            buffer_array_text(&q->hungry, w->queues[i].name);
    buffer_array_end(&q->hungry);
    add_running(w, q, started_before);
    return !(q->workers.failed || q->hungry.failed || q->claims.failed || q->positions.failed);
}

static void
cancel_lost(struct awa_worker *w, const char *lost)
{
    char pos[24];

    if (strcmp(lost, "{}") == 0)
        return;
    pthread_mutex_lock(&w->lock);
    for (struct awa_job *job = w->running.first; job != NULL; job = job->next) {
        snprintf(pos, sizeof pos, "%lld", (long long)job->pos);
        if (array_has(lost, pos))
            job_cancel(job, CANCEL_LOST);
    }
    pthread_mutex_unlock(&w->lock);
}

static void
look_where_ready(struct awa_worker *w, const char *ready)
{
    if (strcmp(ready, "{}") == 0)
        return;
    for (size_t i = 0; i < w->nqueues; i++)
        if (array_has(ready, w->queues[i].name))
            claim_look(w, w->queues[i].name);
}

/* Takes the answer; false if the current identity is good no more. */
static bool
take_answer(struct awa_worker *w, const PGresult *res)
{
    char id[24];

    snprintf(id, sizeof id, "%lld", (long long)w->identities->id);
    w->clock_offset = strtoll(PQgetvalue(res, 0, 4), NULL, 10) - clock_ms();
    cancel_lost(w, PQgetvalue(res, 0, 2));
    look_where_ready(w, PQgetvalue(res, 0, 1));
    return array_has(PQgetvalue(res, 0, 0), id) &&
           strtoll(PQgetvalue(res, 0, 3), NULL, 10) == w->server;
}

static void
beaten(void *arg, void *tag, PGresult **res, const awa_error *err)
{
    struct awa_worker *w = arg;

    (void)tag;
    w->heartbeat_asked = false;
    if (err != NULL) {
        if (err->status != AWA_ECONN)
            worker_complain(w, &w->complaints, "heartbeat: %s", err->message);
        return;
    }
    if (!take_answer(w, *res))
        w->identity_lost = true;
}

void
heartbeat_turn(struct awa_worker *w, int64_t now)
{
    struct question q = { 0 };
    awa_error err = { 0 };
    awa_status s = AWA_OK;
    int64_t started_before = now - LONG_RUNNING_MS;

    if (!conn_is_ready(&w->claims) || w->heartbeat_asked)
        return;
    if (w->identity_lost) { /* the greeting of a new session brings a new identity */
        (void)awa__fail(&err, AWA_ESTALE, "worker: registering anew");
        worker_drop_claims(w, &err);
        return;
    }
    if (now < w->heartbeat_at)
        return;
    if (w->ask_all) {
        w->ask_all = false;
        started_before = now;
    }
    s = identity_turn(w, &err);
    if (s == AWA_OK && ask(w, &q, !w->draining, started_before))
        s = conn_submit(
            &w->claims, SQL_WORKER_HEARTBEAT,
            (const char *[]){ q.workers.data, q.hungry.data, q.claims.data, q.positions.data },
            false, beaten, NULL, &err);
    question_done(&q);
    w->heartbeat_at = now + HEARTBEAT_MS;
    for (size_t i = 0; i < w->nqueues; i++)
        if (w->queues[i].dry && !w->draining)
            w->queues[i].marked_at = now;
    if (s == AWA_OK)
        w->heartbeat_asked = true;
    else
        worker_drop_claims(w, &err);
}

/* ---- A new session ----------------------------------------------------------------------- */

static awa_status
listen_for_work(struct awa_worker *w, PGconn *pg, awa_error *err)
{
    AUTO(buffer) struct buffer queues = { 0 };
    AUTO(pgresult) PGresult *res = NULL;

    if (w->claims.pooled)
        return AWA_OK;
    worker_queue_names(w, &queues);
    if (queues.failed)
        return awa__fail(err, AWA_ENOMEM, "worker: out of memory");
    return awa__sql_ask(pg, SQL_QUEUES_LISTEN, (const char *[]){ queues.data }, &res, err);
}

/*
 * Before anything is claimed on a new session: are we still who we were, on the same server? If
 * not, claims from before may have been lost, and a sequence may have stepped back. A new
 * identity claims from now on; the old one stays with the jobs that it claimed.
 */
awa_status
heartbeat_greet(void *arg, PGconn *pg, awa_error *err)
{
    struct awa_worker *w = arg;
    struct question q = { 0 };
    AUTO(pgresult) PGresult *res = NULL;
    bool same = false;
    awa_status s;

    s = awa__schema_check(pg, err);
    if (s == AWA_OK)
        s = listen_for_work(w, pg, err);
    if (s == AWA_OK && w->identities != NULL) {
        if (!ask(w, &q, false, clock_ms()))
            s = awa__fail(err, AWA_ENOMEM, "worker: out of memory");
        else
            s = awa__sql_ask(
                pg, SQL_WORKER_HEARTBEAT,
                (const char *[]){ q.workers.data, q.hungry.data, q.claims.data, q.positions.data },
                &res, err);
        question_done(&q);
        if (s == AWA_OK)
            same = take_answer(w, res) && !w->identity_lost;
    }
    if (s == AWA_OK && !same)
        s = identity_register(w, pg, err);
    w->heartbeat_at = clock_ms(); /* at once, for the clock and the session lock */
    claim_look(w, NULL);
    return s;
}

/* ---- Deadlines --------------------------------------------------------------------------- */

/* Raises the flag of running jobs whose deadline has passed, by the server's clock; or of all. */
void
heartbeat_watch(struct awa_worker *w, int64_t now)
{
    if (now < w->watch_at)
        return;
    w->watch_at = now + WATCH_MS;
    pthread_mutex_lock(&w->lock);
    for (struct awa_job *job = w->running.first; job != NULL; job = job->next)
        if (job->deadline_ms != 0 && job->deadline_ms <= now + w->clock_offset)
            job_cancel(job, CANCEL_DEADLINE);
        else if (w->hurry)
            job_cancel(job, CANCEL_HURRY);
    pthread_mutex_unlock(&w->lock);
}
