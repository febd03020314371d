/* SPDX-License-Identifier: MIT */
/*
 * A verb that decides in several statements is stopped between two of them while another verb
 * runs, on the same job. It must end as race/pairs demands: as one after the other, or refused.
 *
 * AWA_PAIR=claim,cancel runs that pair only, AWA_PAIR=claim every pair with it.
 */
#include "pairs_round.h"

#include <string.h>

#include "cli/spawn.h"

/* Longer than any lock_timeout of the engine, less than deadlock_timeout. */
enum { CIRCLE_MS = 800 };

/* Where a verb can be stopped: before a statement of one of its functions. */
static const struct gate {
    const char *verb, *function, *before;
} gates[] = {
    { "claim", "claim_queue", "FOR v_lane IN SELECT l.* FROM awa.lanes_to_claim" },
    { "claim", "claim_lane", "v_head := awa.lane_head" },
    { "claim", "claim_lane", "v_search := awa.search_lane" },
    { "claim", "claim_jobs", "v_worker := awa.enter_worker" },
    { "claim", "claim_lane", "v_search.claim_id := awa.write_claim" },
    { "claim", "claim_jobs", "FOR i IN 1 .. coalesce(cardinality(v_claim.slots)" },
    { "close", "complete_jobs", "FOR v_group IN" },
    { "close", "complete_jobs", "v_closed := awa.add_closure" },
    { "close", "complete_jobs", "FOR i IN 1 .. cardinality(p_claims) LOOP" },
    { "close", "complete_carried", "v_closed := awa.add_closure" },
    { "close_failed", "close_batch", "v_rows := awa.closings(" },
    { "close_failed", "close_batch", "v_done := awa.close_and_apply(v_rows)" },
    { "close_failed", "close_and_apply", "IF NOT isempty(v_done) THEN" },
    { "cancel", "cancel_job", "SELECT e.first_pos" },
    { "cancel", "cancel_job", "CONTINUE WHEN v_job.state IN" },
    { "cancel", "cancel_job", "PERFORM awa.take_lane" },
    { "cancel", "cancel_job", "RETURN awa.withdraw_cancelled(v_job.ready_slot" },
    { "drain", "drain_queue", "IF awa.cancel_job" },
    { "drain", "drain_lane", "PERFORM awa.take_lane" },
    { "drain", "drain_lane", "v_cancelled := v_cancelled + awa.withdraw_cancelled" },
    { "drain", "drain_lane", "PERFORM awa.pass_withdrawn" },
    { "retry", "retry_job", "CONTINUE WHEN isempty(awa.take_back" },
    { "retry", "take_back", "v_taken := awa.add_tombstones" },
    { "carry", "carry_forward", "v_alive := awa.alive_entries" },
    { "carry", "carry_forward", "FOR v_lane IN" },
    { "carry", "carry_lane", "v_waiting := p_alive - v_running" },
    { "carry", "carry_lane", "v_waiting := awa.add_tombstones" },
    { "carry", "carry_forward", "v_kept := awa.kept_entries" },
    { "carry", "carry_kept", "PERFORM awa.copy_entries(p_slot, v_kept)" },
    { "prune", "prune_slot", "EXECUTE format('LOCK TABLE" },
    { "prune", "alive_entries", "RETURN (SELECT" },
    { "prune", "kept_entries", "RETURN (SELECT" },
    { "prune", "prune_slot", "PERFORM awa.settle_slot(p_slot, true)" },
    { "prune", "prune_slot", "EXECUTE 'LOCK TABLE ' || v_children" },
    { "prune", "prune_slot", "EXECUTE 'TRUNCATE ' || v_children" },
    { "rescue", "rescue_jobs", "v_mine := 0;" },
    { "rescue", "rescue_jobs", "v_mine := v_mine + awa.try_end_attempts" },
    { "rescue", "end_attempts", "RETURN awa.width(awa.close_and_apply" },
    { "rescue", "rescue_jobs", "UPDATE awa.workers AS w" },
    { "reconcile", "reconcile_worker", "UPDATE awa.workers AS w" },
    { "reconcile", "reconcile_worker", "FOR v_open IN" },
    { "reconcile", "reconcile_worker", "v_back := v_back + awa.try_end_attempts" },
    { "reconcile", "end_attempts", "RETURN awa.width(awa.close_and_apply" },
    { "reconcile", "reconcile_worker", "IF EXISTS (SELECT 1" },
};
enum { GATES = sizeof gates / sizeof gates[0] };

/* From the gate on, both to their ends. Nobody may wait for the other in a circle. */
static void
go_on(struct round *r)
{
    const char *circle =
        test_format("SELECT pg_blocking_pids(%d) @> '{%d}' AND pg_blocking_pids(%d) @> '{%d}'",
                    PQbackendPID(r->conns[0]), PQbackendPID(r->conns[1]), PQbackendPID(r->conns[1]),
                    PQbackendPID(r->conns[0]));
    int64_t since = now_ms();

    while (r->asked[1] && round_is_blocked(r, 0) && round_is_blocked(r, 1)) {
        if (strcmp(test_text(r->bench->db, circle), "t") != 0)
            since = now_ms();
        if (now_ms() - since > CIRCLE_MS) {
            round_tell(r, NULL, "they wait for each other");
            break;
        }
    }
    if (round_is_blocked(r, 0))
        round_commit(r, 1);
    round_commit(r, 0);
    round_commit(r, 1);
}

static bool
is_at_gate(PGconn *db, PGconn *conn)
{
    return test_is_blocked(db, conn) &&
           test_int(db, test_format("SELECT count(*) FROM pg_locks AS l WHERE l.pid = %d AND"
                                    " l.locktype = 'advisory' AND l.classid = 7 AND NOT l.granted",
                                    PQbackendPID(conn))) == 1;
}

/* The second comes while the first stands at its gate. *held: the first holds it up. */
static void
run(struct bench *bench, const struct state *state, const struct verb *const *pair, size_t gate,
    bool commits, bool *passes, bool *held)
{
    struct round r = round_begin(bench, state, pair,
                                 commits ? "call 1 to the gate, call 2, commit 2, commit 1"
                                         : "call 1 to the gate, call 2, go on with 1, commit both");

    r.gate = test_format(", before %s", gates[gate].before);
    test_exec(r.conns[0], test_format("SET test.gate = 'gate %zu'", gate));
    test_gate_shut(bench->db);
    round_call(&r, 0);
    if (!is_at_gate(bench->db, r.conns[0])) {
        *passes = true;
        test_gate_open(bench->db);
        round_roll_back_first(&r);
    } else {
        round_call(&r, 1);
        *held = round_is_blocked(&r, 1);
        if (!*held && commits)
            round_commit(&r, 1);
        test_gate_open(bench->db);
        go_on(&r);
        round_judge(&r);
    }
    test_exec(r.conns[0], "RESET test.gate");
}

/* passes[state]: the verb does not come to the gate. */
static void
run_gate(struct bench *bench, size_t gate, const struct verb *const *pair, bool *passes)
{
    const struct state *chosen[STATES_MAX];
    enum meeting meetings[STATES_MAX];
    size_t n = choose_states(pair, chosen, meetings);
    bool both = false; /* open at once: in one state for each pair */

    for (size_t i = 0; i < n; i++) {
        bool *passed = &passes[chosen[i] - states];
        bool held = false;

        if (!*passed)
            run(bench, chosen[i], pair, gate, true, passed, &held);
        if (*passed || held || both || meetings[i] != RIVALS)
            continue;
        run(bench, chosen[i], pair, gate, false, passed, &held);
        both = true;
    }
}

static void
a_verb_that_is_overtaken_halfway_comes_before_or_after(void **state)
{
    struct bench bench = bench_prepare(*state);

    for (size_t g = 0; g < GATES; g++)
        test_gate_named(bench.db, gates[g].function, gates[g].before, test_format("gate %zu", g));
    for (size_t g = 0; g < GATES; g++) {
        bool passes[STATES_MAX] = { false };

        for (size_t i = 0; i < nverbs * nverbs; i++) {
            const struct verb *pair[2] = { &verbs[i / nverbs], &verbs[i % nverbs] };

            if (strcmp(pair[0]->name, gates[g].verb) == 0 && bench_wants(pair))
                run_gate(&bench, g, pair, passes);
        }
    }
    bench_conclude(&bench);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_DB(a_verb_that_is_overtaken_halfway_comes_before_or_after),
    };

    return TEST_RUN(tests);
}
