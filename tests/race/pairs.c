/* SPDX-License-Identifier: MIT */
/*
 * Every two verbs of the engine, in two sessions, on one job, in every order of their calls and
 * commits. Whatever the order, it must end as if one of them had come after the other, with the
 * answers of that; or one of them was refused, in a way that it may refuse, and the other did what
 * it does alone. What is allowed comes from a model, support/verbs.h, and not from the engine.
 *
 * AWA_PAIR=claim,cancel runs that pair only, AWA_PAIR=claim every pair with it.
 */
#include "pairs_round.h"

#include "cli/spawn.h"

enum { PATIENCE_MS = 1500 }; /* longer than any lock_timeout of the engine */

enum schedule {
    ONE_BY_ONE,
    COMMIT_IN_ORDER,
    COMMIT_IN_REVERSE,
    FIRST_ROLLS_BACK,
    SECOND_LOSES_PATIENCE, /* it waits for the first as long as it ever does */
};

static const char *const names[] = {
    "call 1, commit 1, call 2, commit 2",
    "call 1, call 2, commit 1, commit 2",
    "call 1, call 2, commit 2, commit 1",
    "call 1, call 2, roll back 1, commit 2",
    "call 1, call 2 until it gives up, commit 1, commit 2",
};

/* As long as a verb of the engine waits for a lock; but some locks are waited for to the end. */
static void
lose_patience(struct round *r)
{
    int64_t until = now_ms() + PATIENCE_MS;

    while (round_is_blocked(r, 1))
        if (now_ms() > until)
            return;
    round_hear(r, 1);
}

/* *held: whether the second has to wait for the first; then some schedules cannot be. */
static void
run(struct bench *bench, const struct state *state, const struct verb *const *pair,
    enum schedule schedule, bool *held)
{
    struct round r;

    if ((schedule == COMMIT_IN_REVERSE && *held) ||
        (schedule == SECOND_LOSES_PATIENCE && !(*held && (pair[1]->flags & VERB_PATIENT) != 0)))
        return;
    r = round_begin(bench, state, pair, names[schedule]);
    round_call(&r, 0);
    round_hear(&r, 0);
    if (schedule == ONE_BY_ONE)
        round_commit(&r, 0);
    round_call(&r, 1);
    *held = round_is_blocked(&r, 1);
    if (schedule == SECOND_LOSES_PATIENCE)
        lose_patience(&r);
    if (schedule == COMMIT_IN_REVERSE && !*held)
        round_commit(&r, 1);
    if (schedule == FIRST_ROLLS_BACK)
        round_roll_back_first(&r);
    round_commit(&r, 0);
    round_commit(&r, 1);
    round_judge(&r);
}

static void
run_pair(struct bench *bench, const struct verb *const *pair)
{
    const struct state *chosen[STATES_MAX];
    enum meeting meetings[STATES_MAX];
    size_t n = choose_states(pair, chosen, meetings);
    bool waited = false; /* it takes long: once for each pair */

    for (size_t i = 0; i < n; i++) {
        bool held = false;

        for (enum schedule s = 0; s < SECOND_LOSES_PATIENCE; s++)
            if (meetings[i] == RIVALS || s == COMMIT_IN_ORDER || s == COMMIT_IN_REVERSE)
                run(bench, chosen[i], pair, s, &held);
        if (!waited)
            run(bench, chosen[i], pair, SECOND_LOSES_PATIENCE, &held);
        waited = waited || held;
    }
}

static void
two_verbs_at_once_are_as_one_after_the_other(void **state)
{
    struct bench bench = bench_prepare(*state);
    int pairs = 0;

    for (size_t i = 0; i < nverbs * nverbs; i++) {
        const struct verb *pair[2] = { &verbs[i / nverbs], &verbs[i % nverbs] };

        if (!bench_wants(pair))
            continue;
        run_pair(&bench, pair);
        pairs++;
    }
    assert_true(pairs > 0); /* AWA_PAIR names verbs that there are */
    bench_conclude(&bench);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_DB(two_verbs_at_once_are_as_one_after_the_other),
    };

    return TEST_RUN(tests);
}
