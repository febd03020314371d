/* SPDX-License-Identifier: MIT */
/* See pairs_states.h. */
#include "pairs_states.h"

#include <stdio.h>

#define ONCE  1 /* the only attempt */
#define OFTEN 25
#define SCENE(in_state, number, max, in_slot, ...)       \
    {                                                    \
        .job = { .state = (in_state),                    \
                 .attempt = (number),                    \
                 .max_attempts = (max),                  \
                 .slot = (in_slot),                      \
                 .worker = 7,                            \
                 .claim = CLAIM_FIRST },                 \
        .current = SLOT_CURRENT, .known = 2, __VA_ARGS__ \
    }

const struct state states[] = {
    { "waiting", "'waiting'", SCENE(MODEL_AVAILABLE, 0, OFTEN, SLOT_CURRENT) },
    { "waiting, sealed", "'waiting', 'sealed'", SCENE(MODEL_AVAILABLE, 0, OFTEN, SLOT_SEALED) },
    { "running", "'running'", SCENE(MODEL_RUNNING, 1, OFTEN, SLOT_CURRENT) },
    { "running, sealed", "'running', 'sealed'", SCENE(MODEL_RUNNING, 1, OFTEN, SLOT_SEALED) },
    { "running, carried", "'running', 'carried'", SCENE(MODEL_RUNNING, 1, OFTEN, SLOT_CURRENT) },
    { "running for the last time", "'running', 'last'",
      SCENE(MODEL_RUNNING, 1, ONCE, SLOT_CURRENT) },
    { "running, sealed, with a dead-letter queue", "'running', 'dlq'",
      SCENE(MODEL_RUNNING, 1, OFTEN, SLOT_SEALED, .dlq = true) },
    { "failed", "'failed'", SCENE(MODEL_FAILED, 1, OFTEN, SLOT_CURRENT) },
    { "failed, sealed", "'failed', 'sealed'", SCENE(MODEL_FAILED, 1, OFTEN, SLOT_SEALED) },
    { "completed", "'completed'", SCENE(MODEL_COMPLETED, 1, OFTEN, SLOT_CURRENT) },
    { "completed, sealed", "'completed', 'sealed'", SCENE(MODEL_COMPLETED, 1, OFTEN, SLOT_SEALED) },
    { "completed, sealed with the head", "'completed', 'head'",
      SCENE(MODEL_COMPLETED, 1, OFTEN, SLOT_SEALED) },
    { "cancelled before it ran", "'cancelled'", SCENE(MODEL_CANCELLED, 0, OFTEN, SLOT_CURRENT) },
    { "cancelled before it ran, sealed", "'cancelled', 'sealed'",
      SCENE(MODEL_CANCELLED, 0, OFTEN, SLOT_SEALED) },
    { "deferred", "'deferred'", SCENE(MODEL_RETRYABLE, 1, OFTEN, MODEL_NO_SLOT) },
    { "dead", "'dead'", SCENE(MODEL_DEAD, 1, OFTEN, MODEL_NO_SLOT) },
};
const size_t nstates = sizeof states / sizeof states[0];

static const char *
holder(const struct model_job *job)
{
    if (job->state != MODEL_RUNNING)
        return "";
    if (job->claim == CLAIM_FIRST)
        return " by 7 as before";
    return job->worker == 7 ? " by 7 anew" : " by 8";
}

void
scene_text(const struct scene *s, char text[static ANSWER_MAX])
{
    char job[60] = "gone", slot[16] = "";

    if (s->job.slot != MODEL_NO_SLOT)
        snprintf(slot, sizeof slot, " in %d", s->job.slot);
    if (s->job.state != MODEL_GONE)
        snprintf(job, sizeof job, "%s %d%s%s", model_states[s->job.state], s->job.attempt,
                 holder(&s->job), slot);
    snprintf(text, ANSWER_MAX,
             "%s; others: %d waiting, %d running; %d known; %d followed; slot %d%s%s%s", job,
             s->waiting, s->running, s->known, s->job.ends, s->current, s->ended ? "; 7 ended" : "",
             s->retired ? "; 7 claims no more" : "", s->paused ? "; paused" : "");
}
