/* SPDX-License-Identifier: MIT */
/* See verbs.h. */
#include "verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- What a verb does to a job ----------------------------------------------------------- */

/* What lives again, or is carried, goes to the current slot; what ends stays where it is. */
static int
slot_after(const struct verb *v, const struct model_job *job, enum model_state to, int current)
{
    if ((MODEL_IN(to) & (MODEL_ALIVE | MODEL_HISTORY)) == 0)
        return MODEL_NO_SLOT;
    if (to == MODEL_AVAILABLE || v->to == MODEL_SAME || job->slot == MODEL_NO_SLOT)
        return current;
    return job->slot;
}

static enum model_state
state_after(const struct verb *v, const struct model_job *job, bool dlq)
{
    enum model_state to = v->to == MODEL_SAME ? job->state : v->to;

    if (v->attempts == ATTEMPT_USED && (MODEL_IN(to) & MODEL_LIVE) != 0 &&
        job->attempt >= job->max_attempts)
        to = MODEL_FAILED;
    return to == MODEL_FAILED && job->state == MODEL_RUNNING && dlq ? MODEL_DEAD : to;
}

void
verb_apply(const struct verb *v, struct model_job *job, int slot, bool dlq)
{
    enum model_state to = state_after(v, job, dlq);

    job->ends += MODEL_IS(job, MODEL_LIVE) && (MODEL_IN(to) & MODEL_LIVE) == 0;
    job->slot = slot_after(v, job, to, slot);
    job->state = to;
    if (to == MODEL_RETRYABLE)
        job->due = 0; /* a backoff is below a minute here */
    if (v->attempts == ATTEMPT_BEGUN)
        job->attempt++;
    if (v->attempts == ATTEMPT_GIVEN_BACK)
        job->attempt--;
    if (v->attempts == ATTEMPT_ANEW)
        job->attempt = 0;
}

const char *
told_state(const struct model_job *job)
{
    return job->state == MODEL_DEAD ? "failed" : model_states[job->state];
}

const char *
verb_answer(const struct verb *v, const struct model_job *after)
{
    return v->did != NULL ? v->did : told_state(after);
}

/* ---- What a verb does in a scene --------------------------------------------------------- */

/* Whether it acts on the job; then it has. */
static bool
move_job(const struct verb *v, struct scene *s)
{
    struct model_job *job = &s->job;

    if (!MODEL_IS(job, v->from) || (v->sort == VERB_BY_ATTEMPT && job->claim != CLAIM_FIRST) ||
        (job->state == MODEL_RUNNING && v->worker > 0 && job->worker != v->worker))
        return false;
    verb_apply(v, job, s->current, s->dlq);
    s->known -= job->state == MODEL_GONE;
    return true;
}

const char *
verb_act(const struct verb *v, struct scene *s)
{
    if (v->act != NULL)
        return v->act(v, s);
    if (v->also != NULL)
        v->also(s);
    return MODEL_IS(&s->job, v->hastens) || move_job(v, s) ? verb_answer(v, &s->job) : v->idle;
}

static void
end_worker(struct scene *s)
{
    s->ended = true;
}

static void
retire(struct scene *s)
{
    s->retired = true;
}

static void
pause_queue(struct scene *s)
{
    s->paused = true;
}

static void
add_job(struct scene *s)
{
    s->waiting++;
    s->known++;
}

static const char *
claim(const struct verb *v, struct scene *s)
{
    static char answer[ANSWER_MAX];
    size_t len = 0;

    if (v->worker == 7 && (s->ended || s->retired))
        return "JQ003";
    answer[0] = '\0';
    if (s->paused)
        return answer;
    if (move_job(v, s)) {
        s->job.worker = v->worker;
        s->job.claim = CLAIM_LATER;
        len = (size_t)snprintf(answer, sizeof answer, "J%d", s->job.attempt);
    }
    for (; s->waiting > 0; s->waiting--, s->running++)
        len += (size_t)snprintf(answer + len, sizeof answer - len, "+1");
    return answer;
}

static const char *
heartbeat(const struct verb *v, struct scene *s)
{
    bool held = s->job.state == MODEL_RUNNING && s->job.claim == CLAIM_FIRST;

    (void)v;
    return s->ended ? (held ? "f|t" : "f|f") : (held ? "t|t" : "t|f");
}

static const char *
drain(const struct verb *v, struct scene *s)
{
    static const char *const counts[] = { "0", "1", "2", "3" };
    int n = s->waiting + move_job(v, s);

    s->waiting = 0;
    return counts[n];
}

static const char *
rotate(const struct verb *v, struct scene *s)
{
    if (s->current == SLOT_NEXT)
        return v->idle; /* it is empty */
    s->current = SLOT_NEXT;
    return v->did;
}

static const char *
carry(const struct verb *v, struct scene *s)
{
    return s->job.slot == SLOT_SEALED && move_job(v, s) ? v->did : v->idle;
}

/* What is pruned still counts. */
static const char *
prune(const struct verb *v, struct scene *s)
{
    if (s->job.slot != SLOT_SEALED)
        return v->did;
    if (!MODEL_IS(&s->job, v->from))
        return v->idle;
    verb_apply(v, &s->job, s->current, s->dlq);
    return v->did;
}

/* ---- The verbs --------------------------------------------------------------------------- */

#define RUNNING MODEL_IN(MODEL_RUNNING)
#define FAILED  MODEL_IN(MODEL_FAILED)
#define DEAD    MODEL_IN(MODEL_DEAD)

#define CLAIM(w)                                                                              \
    "SELECT coalesce(string_agg(CASE WHEN c.id = <id> THEN 'J' ELSE '+' END || c.attempt, ''" \
    " ORDER BY c.id), '') FROM awa.claim_jobs(" #w ", 'default', 10) AS c",                   \
        .from = MODEL_IN(MODEL_AVAILABLE), .to = MODEL_RUNNING, .attempts = ATTEMPT_BEGUN,    \
        .worker = (w), .act = claim, .flags = VERB_PATIENT
#define CLOSE(word, rest)                                                                \
    "SELECT coalesce(k.state, '!' || k.error) FROM awa.close_jobs(<worker>, '{<slot>}'," \
    " '{<claim>}', '{<pos>}', '{" word "}'" rest ") AS k",                               \
        VERB_BY_ATTEMPT, .from = RUNNING, .idle = "stale", .outcome = (word)
#define TOLD ", '{why}', '{1}', '{1 h}'" /* an error, an output, a delay */
#define BY_FILTER(function)                                                                        \
    (function), "operator", "SELECT changed FROM awa." function "(p_all => true)", VERB_BY_FILTER, \
        .did = "1", .idle = "0"

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
    { "claim", "worker", CLAIM(7), .refusals = claims_not },
    { "claim_8", "worker", CLAIM(8), .refusals = claims_none },
    { "close", "worker",
      "SELECT NOT isempty(awa.complete_jobs(<worker>, '{<slot>}', '{<claim>}',"
      " '{\"{[<pos>,<pos>]}\"}'))",
      VERB_BY_ATTEMPT, .from = RUNNING, .to = MODEL_COMPLETED, .attempts = ATTEMPT_USED, .did = "t",
      .idle = "f" },
    { "complete", "worker", "SELECT awa.complete_job(<worker>, <claim>, <pos>)", VERB_BY_ATTEMPT,
      .from = RUNNING, .to = MODEL_COMPLETED, .attempts = ATTEMPT_USED, .did = "",
      .idle = "JQ003" },
    { "close_retried", "worker", CLOSE("retried", TOLD), .to = MODEL_RETRYABLE,
      .attempts = ATTEMPT_USED, .weight = 1 },
    { "close_snoozed", "worker", CLOSE("snoozed", TOLD), .to = MODEL_SCHEDULED,
      .attempts = ATTEMPT_GIVEN_BACK, .weight = 1 },
    { "close_released", "worker", CLOSE("released", ""), .to = MODEL_AVAILABLE,
      .attempts = ATTEMPT_GIVEN_BACK, .weight = 1 },
    { "close_failed", "worker", CLOSE("failed", TOLD), .to = MODEL_FAILED, .attempts = ATTEMPT_USED,
      .weight = 3 },
    { "heartbeat", "worker",
      "SELECT known = '{7}', lost = '{}' FROM awa.heartbeat('{7}', '{}', '{<claim>}', "
      "'{\"<run>\"}')",
      .act = heartbeat, .flags = VERB_SILENT },
    { "deregister", "worker", "SELECT awa.deregister_worker(7)", .idle = "", .also = end_worker },
    /* it knows of nothing that it holds: it gives it back, and claims no more */
    { "reconcile", "worker", "SELECT coalesce(awa.reconcile_worker(7, '{}')::text, 'again')",
      .from = RUNNING, .to = MODEL_AVAILABLE, .attempts = ATTEMPT_GIVEN_BACK, .did = "1",
      .idle = "0", .worker = 7, .also = retire, .flags = VERB_PATIENT, .refusals = reconciles_not },
    { "insert", "producer", "SELECT awa.insert_job('k') > 0", .idle = "t", .also = add_job },
    { "cancel", "operator", "SELECT awa.cancel_job(<id>)", VERB_BY_ID, .from = MODEL_LIVE,
      .to = MODEL_CANCELLED, .did = "t", .idle = "f", .weight = 30, .refusals = keeps_moving },
    { "drain", "operator", "SELECT awa.drain_queue('default')", .from = MODEL_LIVE & ~RUNNING,
      .to = MODEL_CANCELLED, .act = drain },
    { "delete", "operator", "DELETE FROM awa.jobs WHERE id = <id> RETURNING true", VERB_BY_ID,
      .from = MODEL_ANY, .to = MODEL_GONE, .did = "t", .idle = "", .flags = VERB_PATIENT,
      .weight = 6, .refusals = keeps_moving },
    { "retry", "operator", "SELECT awa.retry_job(<id>)", VERB_BY_ID,
      .from = FAILED | MODEL_IN(MODEL_CANCELLED), .to = MODEL_AVAILABLE, .hastens = MODEL_DEFERRED,
      .attempts = ATTEMPT_ANEW, .did = "t", .idle = "f", .weight = 40, .refusals = keeps_moving },
    { BY_FILTER("retry_failed"), .from = FAILED, .to = MODEL_AVAILABLE, .attempts = ATTEMPT_ANEW,
      .weight = 15 },
    { BY_FILTER("discard_failed"), .from = FAILED, .to = MODEL_GONE, .weight = 3 },
    { "move_to_dlq", "operator", "SELECT awa.move_to_dlq(<id>)", VERB_BY_ID, .from = FAILED,
      .to = MODEL_DEAD, .did = "t", .idle = "f", .weight = 10, .refusals = keeps_moving },
    { "retry_dlq", "operator", "SELECT awa.retry_dlq(<id>)", VERB_BY_ID, .from = DEAD,
      .to = MODEL_AVAILABLE, .attempts = ATTEMPT_ANEW, .did = "t", .idle = "f" },
    { "pause", "operator", "SELECT awa.pause_queue('default')", .idle = "", .also = pause_queue },
    { "rebuild", "operator",
      "SELECT coalesce(sum(corrected), 0) FROM awa.rebuild_terminal_counters()", .idle = "0",
      .flags = VERB_SILENT },
    { "rescue", "worker", "SELECT awa.rescue_jobs(clock_timestamp() + interval '1 min')",
      .from = RUNNING, .to = MODEL_AVAILABLE, .attempts = ATTEMPT_USED, .did = "1", .idle = "0",
      .worker = 7, .also = end_worker, .flags = VERB_PATIENT, .refusals = rescues_none },
    { "expire", "worker", "SELECT awa.expire_jobs(p_now => clock_timestamp() + interval '1 h')",
      .from = RUNNING, .to = MODEL_RETRYABLE, .attempts = ATTEMPT_USED, .did = "1", .idle = "0",
      .flags = VERB_PATIENT, .refusals = expires_none },
    { "promote", "worker",
      "SELECT promoted FROM awa.promote_jobs(p_now => clock_timestamp() + interval '2 h')",
      .from = MODEL_DEFERRED, .to = MODEL_AVAILABLE, .did = "1", .idle = "0",
      .refusals = moves_none },
    { "rotate", NULL, "SELECT awa.rotate_ring(true) IS NOT NULL", .did = "t", .idle = "f",
      .act = rotate, .refusals = stays },
    { "checkpoint", "worker", "SELECT awa.checkpoint_heads(0::smallint) >= 0", .idle = "t",
      .flags = VERB_SILENT | VERB_EMPTIES },
    { "carry", "worker", "SELECT awa.carry_forward(0::smallint)", .from = MODEL_ALIVE | FAILED,
      .to = MODEL_SAME, .did = "1", .idle = "0", .act = carry,
      .flags = VERB_SILENT | VERB_EMPTIES | VERB_PATIENT, .refusals = moves_none },
    { "prune", "worker", "SELECT awa.prune_slot(0::smallint)",
      .from = MODEL_IN(MODEL_COMPLETED) | MODEL_IN(MODEL_CANCELLED), .to = MODEL_GONE,
      .did = "pruned", .idle = "alive", .act = prune,
      .flags = VERB_SILENT | VERB_EMPTIES | VERB_PATIENT, .refusals = prunes_not },
    { "fold", "worker", "SELECT opened FROM awa.turn_ring()", .idle = "", .flags = VERB_SILENT },
    { "close_completed", "worker", CLOSE("completed", TOLD), .to = MODEL_COMPLETED,
      .attempts = ATTEMPT_USED, .flags = VERB_ALIKE, .weight = 1 },
    { "close_cancelled", "worker", CLOSE("cancelled", TOLD), .to = MODEL_CANCELLED,
      .attempts = ATTEMPT_USED, .flags = VERB_ALIKE, .weight = 1 },
    { "close_postponed", "worker", CLOSE("released", TOLD), .to = MODEL_SCHEDULED,
      .attempts = ATTEMPT_GIVEN_BACK, .flags = VERB_ALIKE },
    { "close_expired", "worker", CLOSE("expired", TOLD), .to = MODEL_RETRYABLE,
      .attempts = ATTEMPT_USED, .flags = VERB_ALIKE, .weight = 1 },
    { "delete_compat", "operator", "SELECT awa.delete_job_compat(<id>)", VERB_BY_ID,
      .from = MODEL_ANY, .to = MODEL_GONE, .did = "t", .idle = "f", .flags = VERB_PATIENT,
      .weight = 6, .refusals = keeps_moving },
    { BY_FILTER("move_failed_to_dlq"), .from = FAILED, .to = MODEL_DEAD, .weight = 6 },
    { BY_FILTER("retry_dlq_jobs"), .from = DEAD, .to = MODEL_AVAILABLE, .attempts = ATTEMPT_ANEW },
    { BY_FILTER("purge_dlq"), .from = DEAD, .to = MODEL_GONE, .weight = 3 },
};
const size_t nverbs = sizeof verbs / sizeof verbs[0];

const struct verb *
verb_named(const char *name)
{
    size_t i = 0;

    while (i < nverbs && strcmp(verbs[i].name, name) != 0)
        i++;
    if (i == nverbs) {
        fprintf(stderr, "no verb is called %s\n", name);
        abort();
    }
    return &verbs[i];
}
