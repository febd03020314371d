/* SPDX-License-Identifier: MIT */
/*
 * Heartbeats, which say that this worker is alive, and their answers: attempts that it has lost,
 * queues that may have work, whether the identity and the server are still the same. Also cancels
 * attempts after their deadlines.
 */
#include <string.h>

#include "base/clock.h"
#include "lib/schema.h"
#include "pg/array.h"
#include "pg/ranges.h"
#include "statements_worker.h"
#include "worker/claim.h"
#include "worker/heartbeat.h"
#include "worker/identity.h"

enum {
    ASK_AGAIN_MS = 100,     /* after a heartbeat for which memory was lacking */
    LONG_RUNNING_MS = 2000, /* heartbeats ask about attempts that have run for so long */
    WATCH_MS = 100,         /* how often deadlines are checked */
};

/* ---- Heartbeat --------------------------------------------------------------------------- */

struct question {
    struct buffer workers, hungry, claims, positions, queues, held;
};

static void
question_done(struct question *q)
{
    buffer_done(&q->workers);
    buffer_done(&q->hungry);
    buffer_done(&q->claims);
    buffer_done(&q->positions);
    buffer_done(&q->queues);
    buffer_done(&q->held);
}

/* Whether an attempt runs, and ran already at the time `when`. The caller holds the lock. */
static bool
ran_at(const struct awa_attempt *job, int64_t when)
{
    return job->phase == JOB_OUT && job->started_at != 0 && job->started_at <= when;
}

/* Adds the attempts of a batch that have run since `when`, as ranges of positions. */
static void
add_batch(struct question *q, const struct batch *b, int64_t when)
{
    const char *comma = "";

    for (size_t i = 0; i < b->n; i++) {
        size_t last = i;

        if (!ran_at(b->jobs[i], when))
            continue;
        while (last + 1 < b->n && b->jobs[last + 1]->pos == b->jobs[last]->pos + 1 &&
               ran_at(b->jobs[last + 1], when))
            last++;
        if (*comma == '\0')
            buffer_text(&q->positions, "\"{");
        buffer_format(&q->positions, "%s[%lld,%lld)", comma, (long long)b->jobs[i]->pos,
                      (long long)b->jobs[last]->pos + 1);
        comma = ",";
        i = last;
    }
    if (*comma == '\0')
        return;
    buffer_text(&q->positions, "}\",");
    buffer_array_int(&q->claims, b->claim_id);
}

static void
add_running(struct awa_worker *w, struct question *q, int64_t started_before)
{
    buffer_array_begin(&q->claims);
    buffer_array_begin(&q->positions);
    pthread_mutex_lock(&w->lock);
    for (const struct batch *b = w->batches; b != NULL; b = b->next)
        add_batch(q, b, started_before);
    pthread_mutex_unlock(&w->lock);
    buffer_array_end(&q->claims);
    buffer_array_end(&q->positions);
}

/* Adds how many jobs of each queue this worker holds. */
static void
add_held(const struct awa_worker *w, struct question *q)
{
    worker_queue_names(w, &q->queues);
    buffer_array_begin(&q->held);
    for (size_t i = 0; i < w->nqueues; i++) {
        size_t n = 0;

        for (const struct batch *b = w->batches; b != NULL; b = b->next)
            n += b->jobs[0]->queue == w->queues[i].name ? b->open : 0;
        buffer_array_int(&q->held, (int64_t)n);
    }
    buffer_array_end(&q->held);
}

/* False: out of memory. */
static bool
ask(struct awa_worker *w, struct question *q, bool idle, int64_t started_before)
{
    buffer_array_begin(&q->workers);
    for (struct identity *i = w->identities; i != NULL; i = i->next)
        if (i == w->identities || i->held > 0) /* else: its jobs unknown to us may be rescued */
            buffer_array_int(&q->workers, i->id);
    buffer_array_end(&q->workers);
    buffer_array_begin(&q->hungry);
    for (size_t i = 0; i < w->nqueues && idle; i++)
        if (w->queues[i].dry)
            buffer_array_text(&q->hungry, w->queues[i].name);
    buffer_array_end(&q->hungry);
    add_running(w, q, started_before);
    add_held(w, q);
    return !(q->workers.failed || q->hungry.failed || q->claims.failed || q->positions.failed ||
             q->queues.failed || q->held.failed);
}

static void
cancel_lost(struct awa_worker *w, const char *text)
{
    struct ranges lost = { 0 };

    if (strcmp(text, "{}") == 0)
        return;
    if (!ranges_parse(&lost, text)) {
        worker_complain(w, &w->complaints, "heartbeat: out of memory");
        return; /* the next heartbeat asks again */
    }
    pthread_mutex_lock(&w->lock);
    for (struct awa_attempt *job = w->running.first; job != NULL; job = job->next)
        if (ranges_contain(&lost, job->pos))
            attempt_cancel(job, AWA_CANCEL_LOST);
    pthread_mutex_unlock(&w->lock);
    ranges_done(&lost);
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

/* Takes the answer. False: the current identity must be given up. */
static bool
take_answer(struct awa_worker *w, const PGresult *res)
{
    char id[24];

    snprintf(id, sizeof id, "%lld", (long long)w->identities->id);
    w->clock_offset = strtoll(PQgetvalue(res, 0, 4), NULL, 10) - clock_ms();
    cancel_lost(w, PQgetvalue(res, 0, 2));
    look_where_ready(w, PQgetvalue(res, 0, 1));
    w->listens = strcmp(PQgetvalue(res, 0, 5), "t") == 0;
    w->fleet_poll_ms = strtoll(PQgetvalue(res, 0, 6), NULL, 10);
    return array_has(PQgetvalue(res, 0, 0), id) &&
           strtoll(PQgetvalue(res, 0, 3), NULL, 10) == w->server;
}

/* Jobs that came before we listened were not notified, so we look now. */
static void
listen_answered(void *arg, void *tag, PGresult **res, const awa_error *err)
{
    struct awa_worker *w = arg;

    (void)tag;
    (void)res;
    if (err == NULL)
        claim_look(w, NULL);
    else if (err->status != AWA_ECONN)
        worker_complain(w, &w->complaints, "listen: %s", err->message);
}

/* Sends LISTEN or UNLISTEN, as the last heartbeat said. */
static void
listen_turn(struct awa_worker *w)
{
    AUTO(buffer) struct buffer queues = { 0 };
    awa_error err;
    awa_status s;

    worker_queue_names(w, &queues);
    if (queues.failed || conn_pending(&w->claims) + 2 > CONN_PENDING_MAX)
        return; /* the next heartbeat comes here again */
    s = w->listens ? conn_submit(&w->claims, SQL_QUEUES_LISTEN, (const char *[]){ queues.data },
                                 false, listen_answered, NULL, &err)
                   : conn_submit(&w->claims, SQL_SESSION_UNLISTEN, NULL, false, listen_answered,
                                 NULL, &err);
    if (s == AWA_OK)
        w->listening = w->listens;
    else
        worker_drop_claims(w, &err);
}

static void
heartbeat_answered(void *arg, void *tag, PGresult **res, const awa_error *err)
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
    else if (w->listens != w->listening && !w->claims.pooled)
        listen_turn(w);
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
    if (w->identity_lost) { /* heartbeat_greet() registers anew on the next session */
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
    if (s == AWA_OK && !ask(w, &q, !w->draining, started_before)) {
        question_done(
            &q); /* out of memory, which passes: nothing was sent, and it asks again soon */
        w->heartbeat_at = now + ASK_AGAIN_MS;
        return;
    }
    if (s == AWA_OK)
        s = conn_submit(&w->claims, SQL_WORKER_HEARTBEAT,
                        (const char *[]){ q.workers.data, q.hungry.data, q.claims.data,
                                          q.positions.data, "f", q.queues.data, q.held.data },
                        false, heartbeat_answered, NULL, &err);
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

/*
 * Runs on a new session before anything is claimed: checks the schema, and whether the identity and
 * the server are still the same. If not, claims from before may have been lost, and a sequence may
 * have stepped back; so the worker registers anew. The old identity keeps the jobs that it claimed.
 */
awa_status
heartbeat_greet(void *arg, PGconn *pg, awa_error *err)
{
    struct awa_worker *w = arg;
    struct question q = { 0 };
    AUTO(pgresult) PGresult *res = NULL;
    bool same = false;
    awa_status s;

    w->listening = false;
    s = awa__schema_check(pg, err);
    if (s == AWA_OK && w->identities != NULL) {
        if (!ask(w, &q, false, clock_ms()))
            s = awa__fail(err, AWA_ENOMEM, "worker: out of memory");
        else
            s = awa__query_timed(pg, SQL_WORKER_HEARTBEAT,
                                 (const char *[]){ q.workers.data, q.hungry.data, q.claims.data,
                                                   q.positions.data, w->claims.pooled ? "f" : "t",
                                                   q.queues.data, q.held.data },
                                 &res, err);
        question_done(&q);
        if (s == AWA_OK)
            same = take_answer(w, res) && !w->identity_lost;
    }
    if (s == AWA_OK && !same)
        s = identity_register(w, pg, err);
    w->heartbeat_at = clock_ms(); /* its answer has the server's time, and whether to listen */
    claim_look(w, NULL);
    return s;
}

/* ---- Deadlines --------------------------------------------------------------------------- */

/*
 * Tells running attempts to end: those whose deadline has passed, by the server's clock; in a
 * hurry, all of them.
 */
void
heartbeat_watch(struct awa_worker *w, int64_t now)
{
    if (now < w->watch_at)
        return;
    w->watch_at = now + WATCH_MS;
    pthread_mutex_lock(&w->lock);
    for (struct awa_attempt *job = w->running.first; job != NULL; job = job->next)
        if (job->deadline_ms != 0 && job->deadline_ms <= now + w->clock_offset)
            attempt_cancel(job, AWA_CANCEL_DEADLINE);
        else if (w->hurry)
            attempt_cancel(job, AWA_CANCEL_STOPPING);
    pthread_mutex_unlock(&w->lock);
}
