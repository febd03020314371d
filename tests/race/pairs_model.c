/* SPDX-License-Identifier: MIT */
/* See pairs_model.h. */
#include "pairs_model.h"

#include <stdio.h>

/* ---- Ends of an attempt ------------------------------------------------------------------ */

static void
leave(struct world *w, enum job job, enum slot slot)
{
    w->job = job;
    w->holder = NOBODY;
    w->slot = slot;
}

static void
fail(struct world *w)
{
    if (w->dlq)
        leave(w, DEAD, NO_SLOT);
    else
        leave(w, FAILED, w->slot);
}

/* The attempt is used; the job lives on, unless it was the last one. */
static void
use_up(struct world *w, enum job job, enum slot slot)
{
    if (w->attempt >= w->max_attempts)
        fail(w);
    else
        leave(w, job, slot);
}

static void
give_back(struct world *w, enum job job, enum slot slot)
{
    w->attempt--;
    leave(w, job, slot);
}

/* The fence: what the worker reports counts only while its claim holds the job. */
static bool
stale(const struct world *w)
{
    return w->holder != FIRST_CLAIM;
}

static const char *
complete(struct world *w)
{
    if (stale(w))
        return "f";
    leave(w, COMPLETED, w->slot);
    return "t";
}

static const char *
complete_in_transaction(struct world *w)
{
    if (stale(w))
        return "JQ003";
    leave(w, COMPLETED, w->slot);
    return "";
}

static const char *
close_retried(struct world *w)
{
    if (stale(w))
        return "stale";
    use_up(w, RETRYABLE, NO_SLOT);
    return w->job == RETRYABLE ? "retryable" : "failed";
}

static const char *
close_snoozed(struct world *w)
{
    if (stale(w))
        return "stale";
    give_back(w, SCHEDULED, NO_SLOT);
    return "scheduled";
}

static const char *
close_released(struct world *w)
{
    if (stale(w))
        return "stale";
    give_back(w, WAITING, w->current);
    return "available";
}

static const char *
close_failed(struct world *w)
{
    if (stale(w))
        return "stale";
    fail(w);
    return "failed";
}

/* ---- Workers ----------------------------------------------------------------------------- */

static const char *
claim_for(struct world *w, enum holder holder)
{
    static char answer[TEXT_MAX];
    size_t len = 0;

    answer[0] = '\0';
    if (w->paused)
        return answer;
    if (w->job == WAITING) {
        w->job = RUNNING;
        w->holder = holder;
        w->attempt++;
        len = (size_t)snprintf(answer, sizeof answer, "J%d", w->attempt);
    }
    for (; w->waiting > 0; w->waiting--, w->running++)
        len += (size_t)snprintf(answer + len, sizeof answer - len, "+1");
    return answer;
}

static const char *
claim(struct world *w)
{
    return w->ended || w->retired ? "JQ003" : claim_for(w, WORKER_7);
}

static const char *
claim_as_8(struct world *w)
{
    return claim_for(w, WORKER_8);
}

static const char *
heartbeat(struct world *w)
{
    return w->ended ? (stale(w) ? "f|f" : "f|t") : (stale(w) ? "t|f" : "t|t");
}

static const char *
deregister(struct world *w)
{
    w->ended = true;
    return "";
}

/* It knows of nothing that it holds: it gives it back, and claims no more. */
static const char *
reconcile(struct world *w)
{
    w->retired = true;
    if (w->holder != FIRST_CLAIM && w->holder != WORKER_7)
        return "0";
    give_back(w, WAITING, w->current);
    return "1";
}

static void
retire(struct world *w)
{
    w->retired = true;
}

static void
end_worker(struct world *w)
{
    w->ended = true;
}

static const char *
rescue(struct world *w)
{
    w->ended = true;
    if (w->holder != FIRST_CLAIM && w->holder != WORKER_7)
        return "0";
    use_up(w, WAITING, w->current);
    return "1";
}

static const char *
expire(struct world *w)
{
    if (w->job != RUNNING)
        return "0";
    use_up(w, WAITING, w->current);
    return "1";
}

/* ---- Producers and operators ------------------------------------------------------------- */

static const char *
insert(struct world *w)
{
    w->waiting++;
    w->known++;
    return "t";
}

static const char *
promote(struct world *w)
{
    if (w->job != SCHEDULED && w->job != RETRYABLE)
        return "0";
    leave(w, WAITING, w->current);
    return "1";
}

static const char *
cancel(struct world *w)
{
    switch (w->job) {
    case SCHEDULED:
    case RETRYABLE:
        leave(w, CANCELLED, w->current);
        return "t";
    case WAITING:
    case RUNNING:
        leave(w, CANCELLED, w->slot);
        return "t";
    default:
        return "f";
    }
}

static const char *
drain(struct world *w)
{
    static const char *const counts[] = { "0", "1", "2", "3" };
    bool waits = w->job == WAITING || w->job == SCHEDULED || w->job == RETRYABLE;
    int n = w->waiting + waits;

    w->waiting = 0;
    if (waits)
        cancel(w);
    return counts[n];
}

static const char *
delete_job(struct world *w)
{
    if (w->job == GONE)
        return "";
    leave(w, GONE, NO_SLOT);
    w->known--;
    return "t";
}

static const char *
run_again(struct world *w, const char *answer)
{
    leave(w, WAITING, w->current);
    w->attempt = 0;
    return answer;
}

static const char *
retry(struct world *w)
{
    if (w->job == SCHEDULED || w->job == RETRYABLE)
        return "t";
    return w->job == FAILED || w->job == CANCELLED ? run_again(w, "t") : "f";
}

static const char *
retry_all(struct world *w)
{
    return w->job == FAILED ? run_again(w, "1") : "0";
}

static const char *
discard(struct world *w)
{
    if (w->job != FAILED)
        return "0";
    leave(w, GONE, NO_SLOT);
    w->known--;
    return "1";
}

static const char *
bury(struct world *w)
{
    if (w->job != FAILED)
        return "f";
    leave(w, DEAD, NO_SLOT);
    return "t";
}

static const char *
retry_dead(struct world *w)
{
    return w->job == DEAD ? run_again(w, "t") : "f";
}

static const char *
pause(struct world *w)
{
    w->paused = true;
    return "";
}

/* ---- Maintenance ------------------------------------------------------------------------- */

static const char *
rotate(struct world *w)
{
    if (w->current == NEXT)
        return "f"; /* it is empty */
    w->current = NEXT;
    return "t";
}

static bool
kept(const struct world *w)
{
    return w->job == WAITING || w->job == RUNNING || w->job == FAILED;
}

static const char *
carry(struct world *w)
{
    if (w->slot != SEALED || !kept(w))
        return "0";
    w->slot = w->current;
    return "1";
}

static const char *
prune(struct world *w)
{
    if (w->slot != SEALED)
        return "pruned";
    if (kept(w))
        return "alive";
    leave(w, GONE, NO_SLOT); /* but it counts */
    return "pruned";
}

static const char *
checkpoint(struct world *w)
{
    (void)w;
    return "t";
}

static const char *
fold(struct world *w)
{
    (void)w;
    return "";
}

static const char *
rebuild(struct world *w)
{
    (void)w;
    return "0";
}

/* ---- The verbs --------------------------------------------------------------------------- */

#define CLAIM(worker)                                                                         \
    "SELECT coalesce(string_agg(CASE WHEN c.id = <id> THEN 'J' ELSE '+' END || c.attempt, ''" \
    " ORDER BY c.id), '') FROM awa.claim_jobs(" worker ", 'default', 10) AS c"
#define CLOSE(outcome, rest)                                                                   \
    "SELECT coalesce(k.state, k.error) FROM awa.close_jobs(<worker>, '{<slot>}', '{<claim>}'," \
    " '{<pos>}', '{" outcome "}'" rest ") AS k"

static const struct refusal keeps_moving[] = { { "JQ006" }, { 0 } };
static const struct refusal claims_none[] = { { "" }, { 0 } };
/* while somebody takes its jobs away, who may still roll back: it registers anew */
static const struct refusal claims_not[] = { { "" }, { "JQ003" }, { 0 } };
static const struct refusal moves_none[] = { { "0" }, { 0 } };
static const struct refusal rescues_none[] = { { "0" }, { "0", end_worker }, { "55P03" }, { 0 } };
static const struct refusal reconciles_not[] = {
    { "again" }, { "again", retire }, { "55P03" }, { 0 }
};
static const struct refusal expires_none[] = { { "0" }, { "55P03" }, { 0 } };
static const struct refusal stays[] = { { "f" }, { 0 } };
/* Whoever opens the gate for it may still have a snapshot. */
static const struct refusal prunes_not[] = {
    { "busy" }, { "snapshots", NULL, true }, { "heads", NULL, true }, { 0 }
};

const struct verb verbs[] = {
    { "claim", "worker", CLAIM("7"), claim, PATIENT, claims_not },
    { "claim_8", "worker", CLAIM("8"), claim_as_8, PATIENT, claims_none },
    { "close", "worker",
      "SELECT NOT isempty(awa.complete_jobs(<worker>, '{<slot>}', '{<claim>}',"
      " '{\"{[<pos>,<pos>]}\"}'))",
      complete },
    { "complete", "worker", "SELECT awa.complete_job(<worker>, <claim>, <pos>)",
      complete_in_transaction },
    { "close_retried", "worker", CLOSE("retried", ", NULL, NULL, '{1 h}'"), close_retried },
    { "close_snoozed", "worker", CLOSE("snoozed", ", NULL, NULL, '{1 h}'"), close_snoozed },
    { "close_released", "worker", CLOSE("released", ""), close_released },
    { "close_failed", "worker", CLOSE("failed", ", '{why}'"), close_failed },
    { "heartbeat", "worker",
      "SELECT known = '{7}', lost = '{}' FROM awa.heartbeat('{7}', '{}', '{<claim>}', "
      "'{\"<run>\"}')",
      heartbeat, SILENT },
    { "deregister", "worker", "SELECT awa.deregister_worker(7)", deregister },
    { "reconcile", "worker", "SELECT coalesce(awa.reconcile_worker(7, '{}')::text, 'again')",
      reconcile, PATIENT, reconciles_not },
    { "insert", "producer", "SELECT awa.insert_job('k') > 0", insert },
    { "cancel", "operator", "SELECT awa.cancel_job(<id>)", cancel, 0, keeps_moving },
    { "drain", "operator", "SELECT awa.drain_queue('default')", drain },
    { "delete", "operator", "DELETE FROM awa.jobs WHERE id = <id> RETURNING true", delete_job,
      PATIENT, keeps_moving },
    { "retry", "operator", "SELECT awa.retry_job(<id>)", retry, 0, keeps_moving },
    { "retry_failed", "operator", "SELECT changed FROM awa.retry_failed(p_all => true)",
      retry_all },
    { "discard", "operator", "SELECT changed FROM awa.discard_failed(p_all => true)", discard },
    { "move_to_dlq", "operator", "SELECT awa.move_to_dlq(<id>)", bury, 0, keeps_moving },
    { "retry_dlq", "operator", "SELECT awa.retry_dlq(<id>)", retry_dead },
    { "pause", "operator", "SELECT awa.pause_queue('default')", pause },
    { "rebuild", "operator",
      "SELECT coalesce(sum(corrected), 0) FROM awa.rebuild_terminal_counters()", rebuild, SILENT },
    { "rescue", "worker", "SELECT awa.rescue_jobs(clock_timestamp() + interval '1 min')", rescue,
      PATIENT, rescues_none },
    { "expire", "worker", "SELECT awa.expire_jobs(p_now => clock_timestamp() + interval '1 h')",
      expire, PATIENT, expires_none },
    { "promote", "worker",
      "SELECT promoted FROM awa.promote_jobs(p_now => clock_timestamp() + interval '2 h')", promote,
      0, moves_none },
    { "rotate", NULL, "SELECT awa.rotate_ring(true) IS NOT NULL", rotate, 0, stays },
    { "checkpoint", "worker", "SELECT awa.checkpoint_heads(0::smallint) >= 0", checkpoint,
      SILENT | EMPTIES },
    { "carry", "worker", "SELECT awa.carry_forward(0::smallint)", carry, SILENT | EMPTIES | PATIENT,
      moves_none },
    { "prune", "worker", "SELECT awa.prune_slot(0::smallint)", prune, SILENT | EMPTIES | PATIENT,
      prunes_not },
    { "fold", "worker", "SELECT opened FROM awa.turn_ring()", fold, SILENT },
};
const size_t nverbs = sizeof verbs / sizeof verbs[0];

/* ---- The states in which they meet ------------------------------------------------------- */

#define ONCE  1 /* the only attempt */
#define OFTEN 25
#define WORLD(j, a, max, h, s, ...)                                                    \
    {                                                                                  \
        .job = (j), .attempt = (a), .max_attempts = (max), .holder = (h), .slot = (s), \
        .current = CURRENT, .known = 2, __VA_ARGS__                                    \
    }

const struct state states[] = {
    { "waiting", "'waiting'", WORLD(WAITING, 0, OFTEN, NOBODY, CURRENT) },
    { "waiting, sealed", "'waiting', 'sealed'", WORLD(WAITING, 0, OFTEN, NOBODY, SEALED) },
    { "running", "'running'", WORLD(RUNNING, 1, OFTEN, FIRST_CLAIM, CURRENT) },
    { "running, sealed", "'running', 'sealed'", WORLD(RUNNING, 1, OFTEN, FIRST_CLAIM, SEALED) },
    { "running, carried", "'running', 'carried'", WORLD(RUNNING, 1, OFTEN, FIRST_CLAIM, CURRENT) },
    { "running for the last time", "'running', 'last'",
      WORLD(RUNNING, 1, ONCE, FIRST_CLAIM, CURRENT) },
    { "running, sealed, with a dead-letter queue", "'running', 'dlq'",
      WORLD(RUNNING, 1, OFTEN, FIRST_CLAIM, SEALED, .dlq = true) },
    { "failed", "'failed'", WORLD(FAILED, 1, OFTEN, NOBODY, CURRENT) },
    { "failed, sealed", "'failed', 'sealed'", WORLD(FAILED, 1, OFTEN, NOBODY, SEALED) },
    { "completed", "'completed'", WORLD(COMPLETED, 1, OFTEN, NOBODY, CURRENT) },
    { "completed, sealed", "'completed', 'sealed'", WORLD(COMPLETED, 1, OFTEN, NOBODY, SEALED) },
    { "completed, sealed with the head", "'completed', 'head'",
      WORLD(COMPLETED, 1, OFTEN, NOBODY, SEALED) },
    { "cancelled before it ran", "'cancelled'", WORLD(CANCELLED, 0, OFTEN, NOBODY, CURRENT) },
    { "cancelled before it ran, sealed", "'cancelled', 'sealed'",
      WORLD(CANCELLED, 0, OFTEN, NOBODY, SEALED) },
    { "deferred", "'deferred'", WORLD(RETRYABLE, 1, OFTEN, NOBODY, NO_SLOT) },
    { "dead", "'dead'", WORLD(DEAD, 1, OFTEN, NOBODY, NO_SLOT) },
};
const size_t nstates = sizeof states / sizeof states[0];

/* ---- In words ---------------------------------------------------------------------------- */

void
world_text(const struct world *w, char text[static TEXT_MAX])
{
    static const char *const jobs[] = { "gone",      "available", "running",
                                        "scheduled", "retryable", "completed",
                                        "failed",    "cancelled", "dead" };
    static const char *const holders[] = { "", " by 7 as before", " by 7 anew", " by 8" };
    static const char *const slots[] = { " in 0", " in 1", " in 2", "" };
    char attempt[16] = "";

    if (w->job != GONE)
        snprintf(attempt, sizeof attempt, " %d", w->attempt);
    snprintf(text, TEXT_MAX, "%s%s%s%s; others: %d waiting, %d running; %d known; slot %d%s%s%s",
             jobs[w->job], attempt, holders[w->holder], slots[w->slot], w->waiting, w->running,
             w->known, (int)w->current, w->ended ? "; 7 ended" : "",
             w->retired ? "; 7 claims no more" : "", w->paused ? "; paused" : "");
}
