/* SPDX-License-Identifier: MIT */
/* See pairs_round.h. */
#include "pairs_round.h"

#include <string.h>

enum { FAILURES_MAX = 8 }; /* then nobody reads on */

/* ---- Steps ------------------------------------------------------------------------------- */

static PGconn *
session(const struct bench *bench, int side, const char *role)
{
    static const char *const roles[ROLES] = { "worker", "operator", "producer" };
    int i = 0;

    while (role != NULL && strcmp(roles[i], role) != 0)
        i++;
    return bench->sessions[side][role != NULL ? i : ROLES];
}

struct round
round_begin(struct bench *bench, const struct state *state, const struct verb *const *pair,
            const char *schedule)
{
    struct round r = { .bench = bench,
                       .state = state,
                       .pair = pair,
                       .schedule = schedule,
                       .gate = "",
                       .got = { .how = "" } };

    test_forget_texts();
    for (int side = 0; side < 2; side++)
        r.conns[side] = session(bench, side, pair[side]->role);
    r.attempt = pairs_begin(bench->db, state->sql);
    return r;
}

void
round_call(struct round *r, int side)
{
    test_exec(r->conns[side], "BEGIN");
    test_send(r->conns[side], test_attempt_sql(r->pair[side]->sql, &r->attempt));
    r->open[side] = r->asked[side] = true;
    r->met = r->met || (side == 1 && r->open[0]);
}

bool
round_is_blocked(struct round *r, int side)
{
    return test_is_blocked(r->bench->db, r->conns[side]);
}

void
round_hear(struct round *r, int side)
{
    if (r->asked[side])
        snprintf(r->got.answers[side], ANSWER_MAX, "%s", test_outcome(r->conns[side]));
    r->asked[side] = false;
}

static void
end(struct round *r, int side, const char *how)
{
    round_hear(r, side);
    if (r->open[side])
        test_exec(r->conns[side], how);
    r->open[side] = false;
}

void
round_commit(struct round *r, int side)
{
    end(r, side, "COMMIT");
}

void
round_roll_back_first(struct round *r)
{
    end(r, 0, "ROLLBACK");
    r->rolled_back = true;
}

/* ---- The judge --------------------------------------------------------------------------- */

void
round_tell(const struct round *r, const struct allowed *all, const char *what)
{
    print_error("%s\n  AWA_PAIR=%s,%s from: %s\n  %s%s\n  answers %s and %s\n  %s\n", what,
                r->pair[0]->name, r->pair[1]->name, r->state->name, r->schedule, r->gate,
                r->got.answers[0], r->got.answers[1], r->got.scene);
    for (size_t i = 0; all != NULL && i < all->n; i++)
        print_error("  allowed (%s): %s and %s\n    %s\n", all->endings[i].how,
                    all->endings[i].answers[0], all->endings[i].answers[1], all->endings[i].scene);
    if (++r->bench->failures == FAILURES_MAX)
        fail_msg("%d rounds failed, and no more were run", FAILURES_MAX);
}

void
round_judge(struct round *r)
{
    const struct verb *pair[2] = { r->rolled_back ? NULL : r->pair[0], r->pair[1] };
    struct allowed all = allow_all(r->state, pair, r->met);

    if (r->rolled_back)
        r->got.answers[0][0] = '\0';
    snprintf(r->got.scene, ANSWER_MAX, "%s", pairs_finish(r->bench->db, &r->attempt));
    r->bench->ran++;
    if (!is_allowed(&all, &r->got))
        round_tell(r, &all, "what came out is not allowed");
}

/* ---- All rounds -------------------------------------------------------------------------- */

struct bench
bench_prepare(PGconn *db)
{
    struct bench bench = { .db = db };

    assert_true(nstates <= STATES_MAX);
    pairs_prepare(db);
    for (int side = 0; side < 2; side++) {
        bench.sessions[side][0] = test_connect(db, "worker");
        bench.sessions[side][1] = test_connect(db, "operator");
        bench.sessions[side][2] = test_connect(db, "producer");
        bench.sessions[side][3] = test_connect(db, NULL);
        for (int i = 0; i <= ROLES;
             i++) /* who waits for ever answers 57014, which is not allowed */
            test_exec(bench.sessions[side][i], "SET statement_timeout = '10 s'");
    }
    return bench;
}

bool
bench_wants(const struct verb *const *pair)
{
    const char *only = getenv("AWA_PAIR");
    char names[80], reverse[80];

    snprintf(names, sizeof names, "%s,%s", pair[0]->name, pair[1]->name);
    snprintf(reverse, sizeof reverse, "%s,%s", pair[1]->name, pair[0]->name);
    if (only == NULL)
        return ((pair[0]->flags | pair[1]->flags) & VERB_ALIKE) == 0;
    return strcmp(only, names) == 0 || strcmp(only, reverse) == 0 ||
           strcmp(only, pair[0]->name) == 0 || strcmp(only, pair[1]->name) == 0;
}

/* The server has seen none either, of those that were too short for us. */
void
bench_conclude(struct bench *bench)
{
    for (int side = 0; side < 2; side++)
        for (int i = 0; i <= ROLES; i++)
            test_exec(bench->sessions[side][i], "SELECT pg_stat_force_next_flush()");
    assert_int_equal(test_int(bench->db, "SELECT deadlocks FROM pg_stat_database"
                                         " WHERE datname = current_database()"),
                     0);
    print_message("%d schedules\n", bench->ran);
    assert_int_equal(bench->failures, 0);
}

size_t
choose_states(const struct verb *const *pair, const struct state **ret_states,
              enum meeting *ret_meetings)
{
    size_t turn = (size_t)(pair[0] - verbs) + (size_t)(pair[1] - verbs), n = 0;
    bool neighbours = false;

    for (size_t i = 0; i < nstates; i++) {
        const struct state *state = &states[(turn + i) % nstates];
        enum meeting meeting = meet(state, pair);

        if (meeting == STRANGERS || (meeting == NEIGHBOURS && neighbours))
            continue;
        neighbours = neighbours || meeting == NEIGHBOURS;
        ret_states[n] = state;
        ret_meetings[n++] = meeting;
    }
    return n;
}
