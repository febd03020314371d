/* SPDX-License-Identifier: MIT */
/*
 * Claims jobs: how many, from which queue, and when to look again. A worker that cannot begin jobs,
 * or cannot write their ends, claims none. While there is work, one claim follows another. When a
 * queue runs dry,
 * 1. it is marked as hungry, so that producers notify us, and looked at again at once;
 * 2. it is looked at with growing pauses, because a producer may have looked at the mark before we
 *    set it;
 * 3. after that, it is looked at when a notification comes, or a heartbeat says that there may be
 *    work.
 *
 * Step 2 does not end for a worker behind a pooler, or with a poll_ms below the pause between
 * heartbeats. A worker of a large fleet, which does not listen, asks in step 3 whether there is
 * work.
 */
#include <string.h>

#include "base/clock.h"
#include "statements_worker.h"
#include "worker/claim.h"
#include "worker/flush.h"
#include "worker/identity.h"
#include "worker/trouble.h"

enum {
    PREFETCH_MS = 50,    /* the worker holds unstarted jobs for so long */
    FIRST_PAUSE_MS = 10, /* between looks; each pause is three times as long, up to poll_ms */
    HUNGRY_MS = 3000,    /* an older mark is made anew; it lasts 5 s, and heartbeats renew it */
    SETTLED_MS = 2000,   /* by then most producers that had not seen the mark have committed */
    AGAIN_MS = 100,      /* pause after a claim that failed; doubles, with jitter */
    AGAIN_MAX_MS = 1000,
    JOB_BYTES_MAX = 1024 * 1024, /* about what a job can take */
};

static void claimed(void *arg, void *tag, PGresult **res, const awa_error *err);
static void marked(void *arg, void *tag, PGresult **res, const awa_error *err);

/* ---- Whether ----------------------------------------------------------------------------- */

/* For how many ms nothing is claimed from any queue; -1: until something changes. */
static int64_t
hold(const struct awa_worker *w, int64_t now)
{
    if (!conn_is_ready(&w->claims) || w->identity_lost || w->draining || flush_is_stuck(w, now))
        return -1;
    return w->claim_after > now ? w->claim_after - now : 0;
}

/* ---- How much ---------------------------------------------------------------------------- */

/* How many jobs the worker wants to hold, running and unstarted. */
static size_t
target(const struct awa_worker *w)
{
    int64_t slots = atomic_load(&w->slots);
    double ahead = w->rate * PREFETCH_MS;
    double most = 4.0 * (double)w->batch;

    if (w->prefetch >= 0 && w->prefetch != 0)
        ahead = (double)w->prefetch;
    else if (w->prefetch < 0)
        ahead = 0;
    else if (ahead > most)
        ahead = most;
    if (w->trouble.most > 0)
        return w->trouble.most;
    return slots > 0 ? (size_t)slots + (size_t)ahead : 0;
}

/*
 * For how many jobs of a queue there is memory, estimated by its last claims. The memory of a claim
 * is freed when its last job has ended, so one long job can keep much of it. For that case each
 * idle slot may have one job more, in a claim of its own.
 */
static size_t
affordable(const struct awa_worker *w, const struct served *q)
{
    size_t each = q->job_bytes > 0 ? q->job_bytes : JOB_BYTES_MAX;
    size_t taken = w->held_bytes + w->asked_bytes;

    if (taken + each <= CLAIMED_BYTES)
        return (CLAIMED_BYTES - taken) / each;
    return w->busy + w->asked < (size_t)atomic_load(&w->slots);
}

/* How many jobs the next claim asks for; 0: the worker has enough, or too little room to be worth
 * it. */
static size_t
want(const struct awa_worker *w)
{
    size_t goal = target(w), have = w->busy + w->asked, room;

    if (have >= goal)
        return 0;
    room = goal - have;
    if (room > (size_t)w->batch)
        room = (size_t)w->batch;
    if (goal > 4 * (size_t)atomic_load(&w->slots) && room < (size_t)w->batch && room < goal / 2)
        return 0; /* wait for more room: a large claim costs hardly more than a small one */
    return room;
}

static bool
ask(struct awa_worker *w, struct served *q, size_t n)
{
    char worker[24], max[24];
    awa_error err;
    awa_status s;

    snprintf(worker, sizeof worker, "%lld", (long long)w->identities->id);
    snprintf(max, sizeof max, "%zu", n);
    q->asked_n = n;
    q->asked_bytes = n * (q->job_bytes > 0 ? q->job_bytes : JOB_BYTES_MAX);
    worker_doubt(w, 1);
    s = conn_submit(&w->claims, SQL_JOBS_CLAIM, (const char *[]){ worker, q->name, max }, true,
                    claimed, q, &err);
    if (s != AWA_OK) {
        worker_doubt(w, -1);
        worker_drop_claims(w, &err);
        return false;
    }
    q->asked = true;
    w->asked += n;
    w->asked_bytes += q->asked_bytes;
    return true;
}

/* Marks a queue as hungry. The claim that follows in the pipeline sees entries from before. */
static bool
mark(struct awa_worker *w, struct served *q, int64_t now)
{
    AUTO(buffer) struct buffer names = { 0 };
    awa_error err;
    awa_status s;

    buffer_array_begin(&names);
    buffer_array_text(&names, q->name);
    buffer_array_end(&names);
    if (names.failed)
        return true; /* polling goes on without the mark */
    s = conn_submit(&w->claims, SQL_QUEUES_HUNGRY, (const char *[]){ names.data }, false, marked, q,
                    &err);
    if (s != AWA_OK) {
        worker_drop_claims(w, &err);
        return false;
    }
    q->marked_at = q->hungry_since = now;
    return true;
}

static void
marked(void *arg, void *tag, PGresult **res, const awa_error *err)
{
    struct awa_worker *w = arg;

    (void)res;
    (void)tag;
    if (err != NULL && err->status != AWA_ECONN)
        worker_complain(w, &w->complaints, "mark hungry: %s", err->message);
}

/*
 * Ends the looks at a queue: a notification or a heartbeat will say when there is work. A worker
 * that does not listen, because its fleet is large, goes on to ask whether there is work, less
 * often the larger the fleet is. Where that would be less often than heartbeats, it leaves it to
 * them.
 */
static void
rest(const struct awa_worker *w, struct served *q, int64_t now)
{
    q->peeks = !w->listens && w->fleet_poll_ms < HEARTBEAT_MS;
    q->look_at = q->peeks ? now + w->fleet_poll_ms : INT64_MAX;
}

/*
 * A claim found nothing. If the queue was not marked before that claim, the next one follows at
 * once, with the mark; else after a pause. When the pause would be the longest one, or the queue
 * has been marked for SETTLED_MS, the looks end; see rest(). Not so for a worker that polls more
 * often than heartbeats come, or behind a pooler.
 */
static void
ran_dry(const struct awa_worker *w, struct served *q, int64_t now)
{
    q->dry = true;
    if (now - q->marked_at > HUNGRY_MS) {
        q->look_at = now;
        q->pause_ms = FIRST_PAUSE_MS;
        return;
    }
    q->look_at = now + q->pause_ms;
    if (w->poll_ms >= HEARTBEAT_MS && !w->claims.pooled &&
        (q->pause_ms >= w->poll_ms || now - q->hungry_since > SETTLED_MS))
        rest(w, q, now);
    q->pause_ms = q->pause_ms * 3 < w->poll_ms ? q->pause_ms * 3 : w->poll_ms;
}

static void
peeked(void *arg, void *tag, PGresult **res, const awa_error *err)
{
    struct awa_worker *w = arg;
    struct served *q = tag;

    q->asked = false;
    if (err == NULL && strcmp(PQgetvalue(*res, 0, 0), "{}") != 0)
        claim_look(w, q->name);
    else
        rest(w, q, clock_ms());
}

/*
 * Asks whether there is work. That costs less than a claim, and of many workers that look at the
 * same time only one would find a job.
 */
static bool
peek(struct awa_worker *w, struct served *q)
{
    AUTO(buffer) struct buffer names = { 0 };
    awa_error err;
    awa_status s;

    buffer_array_begin(&names);
    buffer_array_text(&names, q->name);
    buffer_array_end(&names);
    s = names.failed ? awa__fail(&err, AWA_ENOMEM, "peek: out of memory")
                     : conn_submit(&w->claims, SQL_QUEUES_READY, (const char *[]){ names.data },
                                   false, peeked, q, &err);
    if (s != AWA_OK) {
        worker_drop_claims(w, &err);
        return false;
    }
    q->asked = true;
    q->asked_n = 0;
    return true;
}

/* Puts the jobs of a claim where takers find them. */
static void
hand_out(struct awa_worker *w, struct batch *b)
{
    *w->last_batch = b;
    w->last_batch = &b->next;
    w->held += b->n;
    w->held_bytes += b->bytes;
    w->busy += b->n;
    b->identity->held += (int64_t)b->n;
    pthread_mutex_lock(&w->lock);
    for (size_t i = 0; i < b->n; i++)
        list_push(&w->todo, b->jobs[i]);
    w->counts.claimed += (int64_t)b->n;
    w->counts.in_doubt--;
    worker_offer(w, b->n > 1);
    pthread_mutex_unlock(&w->lock);
}

/*
 * A claim failed: it was refused, or its session is gone, or libpq had no memory for the answer. In
 * the last two cases (ECONN) the database may have given us jobs that we do not know of.
 */
static void
claim_failed(struct awa_worker *w, struct served *q, int64_t now, const awa_error *err)
{
    if (err->status == AWA_ECONN) {
        identity_lose_claim(w);
        q->look_at = now + AGAIN_MS;
    } else {
        worker_doubt(w, -1);
        q->look_at = now + worker_back_off(&q->backoff_ms, AGAIN_MS, AGAIN_MAX_MS);
    }
    if (err->status == AWA_ESTALE)
        w->identity_lost = true;
    else if (conn_is_open(&w->claims))
        worker_complain(w, &w->complaints, "claim %s: %s", q->name, err->message);
}

static void
claimed(void *arg, void *tag, PGresult **res, const awa_error *err)
{
    struct awa_worker *w = arg;
    struct served *q = tag;
    int64_t now = clock_ms();
    struct batch *b;

    q->asked = false;
    w->asked -= q->asked_n;
    w->asked_bytes -= q->asked_bytes;
    if (err != NULL) {
        claim_failed(w, q, now, err);
        return;
    }
    q->backoff_ms = 0;
    if (PQntuples(*res) == 0) {
        worker_doubt(w, -1);
        ran_dry(w, q, now);
        return;
    }
    q->dry = false;
    q->pause_ms = FIRST_PAUSE_MS;
    q->look_at = now;
    b = batch_new(res, w, w->identities, q->name);
    if (b == NULL) {
        worker_complain(w, &w->complaints, "claim %s: out of memory", q->name);
        identity_lose_claim(w);
        return;
    }
    q->job_bytes /= 2; /* a large mean counts for some claims, by half less with each */
    if (q->job_bytes < b->bytes / b->n)
        q->job_bytes = b->bytes / b->n;
    hand_out(w, b);
}

/* ---- When -------------------------------------------------------------------------------- */

/* Logs it once; went_through() of flush.c logs when it is over. */
static void
say_that_ends_wait(struct awa_worker *w, int64_t now)
{
    if (w->ends_wait || w->draining || !flush_is_stuck(w, now))
        return;
    w->ends_wait = true;
    worker_complain(w, &w->complaints,
                    "ends of jobs cannot be written: until they are, no more are claimed");
}

void
claim_turn(struct awa_worker *w, int64_t now)
{
    trouble_recover(w);
    if (atomic_load(&w->slots) == 0) /* the program wants no attempts */
        worker_release_waiting(w);
    say_that_ends_wait(w, now);
    if (hold(w, now) != 0)
        return;
    for (size_t i = 0; i < w->nqueues; i++) {
        struct served *q = &w->queues[(w->next_queue + i) % w->nqueues];
        size_t n = want(w), most = affordable(w, q);

        if (n == 0)
            return;
        if (n > most)
            n = most;
        if (n == 0 || q->asked || now < q->look_at ||
            conn_pending(&w->claims) + 2 > CONN_PENDING_MAX)
            continue;
        if (q->dry && now - q->marked_at > HUNGRY_MS && !mark(w, q, now))
            return;
        if (!(q->peeks ? peek(w, q) : ask(w, q, n)))
            return;
    }
    w->next_queue++; /* in each turn another queue is asked first */
}

/* How many ms until a queue is to be looked at; -1: not before something changes. */
int64_t
claim_wait(const struct awa_worker *w, int64_t now)
{
    int64_t wait = -1, held = hold(w, now);

    if (held < 0 || want(w) == 0)
        return -1;
    for (size_t i = 0; i < w->nqueues; i++) {
        const struct served *q = &w->queues[i];

        if (q->asked || q->look_at == INT64_MAX || affordable(w, q) == 0)
            continue;
        if (wait < 0 || q->look_at - now < wait)
            wait = q->look_at > now ? q->look_at - now : 0;
    }
    return wait >= 0 && wait < held ? held : wait;
}

/* Looks at a queue (NULL: at all) in the next turn, unless it waits after a claim that failed. */
void
claim_look(struct awa_worker *w, const char *queue)
{
    for (size_t i = 0; i < w->nqueues; i++)
        if (w->queues[i].backoff_ms == 0 &&
            (queue == NULL || strcmp(w->queues[i].name, queue) == 0)) {
            w->queues[i].look_at = 0;
            w->queues[i].peeks = false;
            w->queues[i].pause_ms = FIRST_PAUSE_MS;
        }
}
