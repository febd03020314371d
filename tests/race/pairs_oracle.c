/* SPDX-License-Identifier: MIT */
/* See pairs_oracle.h. */
#include "pairs_oracle.h"

#include <stdio.h>
#include <string.h>

/* One verb of a pair takes its turn: with refusal 0 it acts, with 1, 2, ... it is refused. */
static void
take_turn(struct scene *s, const struct verb *verb, size_t refusal, char answer[static ANSWER_MAX])
{
    if (refusal == 0) {
        snprintf(answer, ANSWER_MAX, "%s", verb_act(verb, s));
        return;
    }
    snprintf(answer, ANSWER_MAX, "%s", verb->refusals[refusal - 1].answer);
    if (verb->refusals[refusal - 1].effect != NULL)
        verb->refusals[refusal - 1].effect(s);
}

static bool
same(const struct ending *a, const struct ending *b)
{
    return strcmp(a->answers[0], b->answers[0]) == 0 && strcmp(a->answers[1], b->answers[1]) == 0 &&
           strcmp(a->scene, b->scene) == 0;
}

bool
is_allowed(const struct allowed *all, const struct ending *e)
{
    for (size_t i = 0; i < all->n; i++)
        if (same(&all->endings[i], e))
            return true;
    return false;
}

/* The one after the other, with one of them refused perhaps. */
static void
allow(struct allowed *all, const struct state *state, const struct verb *const *pair, int first,
      const size_t *refusals, const char *how)
{
    struct ending e = { .how = how };
    struct scene s = state->scene;

    for (int i = 0; i < 2; i++) {
        int side = i == 0 ? first : 1 - first;

        if (pair[side] != NULL)
            take_turn(&s, pair[side], refusals[side], e.answers[side]);
    }
    scene_text(&s, e.scene);
    if (!is_allowed(all, &e))
        all->endings[all->n++] = e;
}

/* How many ways a verb has to be refused. */
static size_t
count_refusals(const struct verb *verb)
{
    size_t n = 0;

    if (verb != NULL && verb->refusals != NULL)
        while (verb->refusals[n].answer != NULL)
            n++;
    return n;
}

static bool
needs_another(const struct verb *verb, size_t refusal)
{
    return refusal > 0 && !verb->refusals[refusal - 1].alone;
}

/* Who is refused because of another has met it, and the other then acts. */
struct allowed
allow_all(const struct state *state, const struct verb *const *pair, bool met)
{
    struct allowed all = { .n = 0 };

    for (size_t i = 0; i <= count_refusals(pair[0]); i++)
        for (size_t k = 0; k <= count_refusals(pair[1]); k++) {
            const size_t refusals[2] = { i, k };

            if (!met && (needs_another(pair[0], i) || needs_another(pair[1], k)))
                continue;
            if (needs_another(pair[0], i) && needs_another(pair[1], k))
                continue;
            allow(&all, state, pair, 0, refusals, i + k > 0 ? "refused" : "1, then 2");
            if (met)
                allow(&all, state, pair, 1, refusals, i + k > 0 ? "refused" : "2, then 1");
        }
    return all;
}

static bool
moves_job(const struct verb *verb, const struct state *state)
{
    const struct model_job *before = &state->scene.job;
    struct scene s = state->scene;

    verb_act(verb, &s);
    return s.job.state != before->state || s.job.slot != before->slot ||
           s.job.claim != before->claim || s.job.attempt != before->attempt;
}

static bool
acts(const struct verb *verb, const struct state *state)
{
    struct scene s = state->scene;
    char before[ANSWER_MAX], after[ANSWER_MAX];

    scene_text(&s, before);
    verb_act(verb, &s);
    scene_text(&s, after);
    return (verb->flags & VERB_SILENT) != 0 || strcmp(before, after) != 0;
}

/* The job lies in the slot that one of them wants to empty. */
static bool
meet_in_slot(const struct state *state, const struct verb *const *pair)
{
    return state->scene.job.slot == SLOT_SEALED &&
           ((pair[0]->flags | pair[1]->flags) & VERB_EMPTIES) != 0;
}

enum meeting
meet(const struct state *state, const struct verb *const *pair)
{
    bool first = moves_job(pair[0], state), second = moves_job(pair[1], state);
    struct allowed orders = { .n = 0 };

    allow(&orders, state, pair, 0, (size_t[]){ 0, 0 }, "");
    allow(&orders, state, pair, 1, (size_t[]){ 0, 0 }, "");
    if ((first && second) || ((first || second) && (orders.n == 2 || meet_in_slot(state, pair))))
        return RIVALS;
    return orders.n == 2 || (acts(pair[0], state) && acts(pair[1], state)) ? NEIGHBOURS : STRANGERS;
}
