/* SPDX-License-Identifier: MIT */
/*
 * Rules G1 to G6 of docs/engine.md: a position that was passed over is claimed when its
 * transaction commits, however late. (G5: tests/engine/claim.c.)
 */
#include "test_jobs.h"

#include <inttypes.h>
#include <string.h>

enum { LOOKS = 5 }; /* claims after which a gap would be forgotten if it could */

struct people {
    PGconn *db, *late, *producer, *worker;
};

/* `late` draws positions in transactions that it keeps open, `producer` commits at once. */
static void
meet(struct people *p, PGconn *db)
{
    *p = (struct people){ db, test_connect(db, "producer"), test_connect(db, "producer"),
                          test_worker(db, 7) };
    test_lane(db, 2);
}

static void
look_again(struct people *p)
{
    for (int i = 0; i < LOOKS; i++)
        assert_string_equal(test_claim_ids(p->worker, 7, 10), "");
}

static void
expect_claim(struct people *p, int64_t id)
{
    assert_string_equal(test_claim_ids(p->worker, 7, 10), test_format("%" PRId64, id));
}

static void
a_job_that_commits_late_is_claimed(void **state)
{
    struct people p;
    int64_t late, early;

    meet(&p, *state);
    test_exec(p.late, "BEGIN");
    late = test_insert(p.late);
    early = test_insert(p.producer);
    expect_claim(&p, early);
    look_again(&p);
    test_exec(p.late, "COMMIT");
    expect_claim(&p, late);
    look_again(&p);
}

/* A drain passes over the position as a claim does. */
static void
a_job_that_commits_after_a_drain_is_claimed(void **state)
{
    struct people p;
    PGconn *operator= test_connect(*state, "operator");
    int64_t late, next;

    meet(&p, *state);
    test_exec(p.late, "BEGIN");
    test_insert(p.producer);
    late = test_insert(p.late);
    test_insert(p.producer);
    next = test_insert(p.producer);
    assert_int_equal(test_int(operator, "SELECT awa.drain_queue('default', 2)"), 2);
    assert_string_equal(test_rows(p.db, "SELECT n, cursor - (lane_id::bigint << 44),"
                                        " awa.width(gaps_young) FROM awa.claims"),
                        "0|2|1");
    expect_claim(&p, next);
    look_again(&p);
    test_exec(p.late, "COMMIT");
    expect_claim(&p, late);
    look_again(&p);
}

/*
 * G1. The producer has drawn its position and is stopped before it writes. It is overtaken, and
 * the claimer looks often enough to forget a gap that nobody owns.
 */
static void
a_producer_has_its_transaction_id_before_it_draws(void **state)
{
    static const struct {
        const char *role, *before, *call;
    } doors[] = {
        { "producer", "SELECT 1", "awa.insert_job('k')" },
        { "producer", "SELECT 1", "awa.insert_jobs('{k}')" },
        { "producer", "SELECT 1", "awa.insert_jobs('{k,k}')" },
        { "bulk", "SELECT 1", "awa.insert_job('k')" },
        { "worker", "SELECT awa.insert_job('k', p_delay => '1 ms')",
          "awa.promote_jobs(p_now => clock_timestamp() + interval '1 s')" },
    };
    PGconn *db = *state;
    PGconn *blocker = test_connect(db, NULL);
    struct people p;

    meet(&p, db);
    for (size_t i = 0; i < sizeof doors / sizeof doors[0]; i++) {
        PGconn *door = test_connect(db, doors[i].role);
        int64_t early;
        const char *found;

        expect_claim(&p, test_insert(p.producer)); /* the slot is not empty, so it can be left */
        test_exec(p.producer, doors[i].before);
        test_exec(blocker, "BEGIN");
        test_exec(blocker, test_format("LOCK TABLE awa.ready_entries_%" PRId64 " IN SHARE MODE",
                                       test_int(db, "SELECT awa.current_slot()")));
        test_send(door, test_format("SELECT %s", doors[i].call));
        test_wait_blocked(db, door);
        test_exec(db, "SELECT awa.rotate_ring(true)");
        early = test_insert(p.producer);
        expect_claim(&p, early);
        look_again(&p);
        test_exec(blocker, "COMMIT");
        test_answer(door);
        found = test_claim_ids(p.worker, 7, 10);
        if (*found == '\0')
            fail_msg("%s: the job is lost", doors[i].call);
    }
    assert_string_equal(test_rows(db, "SELECT DISTINCT state FROM awa.jobs"), "running");
}

/*
 * G2. The late transaction has the id after the newest completed one, which is what a snapshot's
 * xmax would say.
 */
static void
a_gap_is_dated_by_an_id_above_all_others(void **state)
{
    struct people p;
    int64_t late, early;

    meet(&p, *state);
    test_exec(p.producer, "BEGIN");
    test_text(p.producer, "SELECT pg_current_xact_id()");
    test_exec(p.late, "BEGIN");
    late = test_insert(p.late);
    early = test_insert(p.producer);
    test_exec(p.producer, "COMMIT");
    expect_claim(&p, early);
    look_again(&p);
    test_exec(p.late, "COMMIT");
    expect_claim(&p, late);
}

/* G2. An id that the claimer got earlier in its transaction is older than the gap's owner. */
static void
a_gap_is_not_dated_by_an_id_from_before(void **state)
{
    struct people p;
    int64_t late, early;

    meet(&p, *state);
    test_exec(p.worker, "BEGIN");
    test_text(p.worker, "SELECT pg_current_xact_id()");
    test_exec(p.late, "BEGIN");
    late = test_insert(p.late);
    early = test_insert(p.producer);
    expect_claim(&p, early);
    test_exec(p.worker, "COMMIT");
    look_again(&p);
    test_exec(p.late, "COMMIT");
    expect_claim(&p, late);
}

/* G2. When an old gap is forgotten, a young one begins its time. */
static void
a_young_gap_outlives_an_old_one(void **state)
{
    struct people p;
    int64_t late, early;

    meet(&p, *state);
    test_exec(p.late, "BEGIN");
    test_insert(p.late);
    test_exec(p.late, "ROLLBACK");
    expect_claim(&p, test_insert(p.producer)); /* the first gap is old now */
    test_exec(p.late, "BEGIN");
    late = test_insert(p.late);
    early = test_insert(p.producer);
    expect_claim(&p, early); /* the second one is found, and the first one forgotten */
    look_again(&p);
    test_exec(p.late, "COMMIT");
    expect_claim(&p, late);
}

/* G3. A claim that found enough has not looked everywhere. */
static void
a_search_that_was_cut_forgets_nothing(void **state)
{
    struct people p;
    int64_t early;

    meet(&p, *state);
    test_exec(p.late, "BEGIN");
    test_exec(p.late, "SELECT awa.insert_jobs('{a,b,c,d}')");
    early = test_insert(p.producer);
    expect_claim(&p, early);
    look_again(&p);
    test_exec(p.late, "COMMIT");
    for (int i = 0; i < 4; i++)
        assert_int_equal(strlen(test_claim_ids(p.worker, 7, 1)), 1);
    look_again(&p);
}

/* G3. The job commits after the search, and before the claimer decides what it may forget. */
static void
a_job_that_commits_after_the_search_is_not_forgotten(void **state)
{
    struct people p;
    int64_t late, early;

    meet(&p, *state);
    test_gate(p.db, "search_gaps", "v_result.gaps := v_result.gaps - v_late;");
    test_exec(p.late, "BEGIN");
    late = test_insert(p.late);
    early = test_insert(p.producer);
    expect_claim(&p, early);
    expect_claim(&p, early = test_insert(p.producer));
    test_gate_shut(p.db);
    test_send(p.worker, "SELECT id FROM awa.claim_jobs(7, 'default', 10)");
    test_wait_at_gate(p.db, p.worker);
    test_exec(p.late, "COMMIT");
    test_gate_open(p.db);
    assert_string_equal(test_answer(p.worker), "");
    expect_claim(&p, late);
}

/* G4. A job that commits between the record and the answer is in neither. */
static void
what_is_handed_out_is_what_was_recorded(void **state)
{
    struct people p;
    int64_t late, early;

    meet(&p, *state);
    test_gate(p.db, "claim_lane", "v_search.claim_id := awa.write_claim");
    test_exec(p.late, "BEGIN");
    test_insert(p.producer);
    late = test_insert(p.late);
    early = test_insert(p.producer);
    test_gate_shut(p.db);
    test_send(p.worker, "SELECT id FROM awa.claim_jobs(7, 'default', 10)");
    test_wait_at_gate(p.db, p.worker);
    test_exec(p.late, "COMMIT");
    test_gate_open(p.db);
    assert_string_equal(test_answer(p.worker),
                        test_format("%" PRId64 " %" PRId64, early - 2, early));
    expect_claim(&p, late);
    assert_string_equal(test_rows(p.db, "SELECT n, awa.width(positions) FROM awa.claims"),
                        "2|2 1|1");
}

/* ---- G6: many gaps ----------------------------------------------------------------------- */

/* n positions that roll back, each followed by one that stays. */
static void
scatter(struct people *p, int n)
{
    test_exec(p->producer, test_format("DO $$ BEGIN FOR i IN 1 .. %d LOOP"
                                       "  BEGIN PERFORM awa.insert_job('gone'); RAISE 'no';"
                                       "  EXCEPTION WHEN raise_exception THEN NULL; END;"
                                       "  PERFORM awa.insert_job('stays'); END LOOP; END $$",
                                       n));
}

static int64_t
claim_count(struct people *p, int max)
{
    return test_int(p->worker,
                    test_format("SELECT count(*) FROM awa.claim_jobs(7, 'default', %d)", max));
}

static void
claim_everything(struct people *p, int64_t n)
{
    for (int64_t got = 0, more; got < n; got += more) {
        more = claim_count(p, 50);
        assert_true(more > 0);
    }
    assert_int_equal(claim_count(p, 50), 0);
}

static int64_t
largest_head(struct people *p)
{
    return test_int(p->db, "SELECT max(awa.count_gaps(gaps_young) + awa.count_gaps(gaps_old))"
                           " FROM awa.claims");
}

static int64_t
aside(struct people *p)
{
    return test_int(p->db, "SELECT coalesce(sum(awa.count_gaps(gaps)), 0) FROM awa.lane_gaps");
}

static void
many_gaps_are_moved_aside_and_lose_nothing(void **state)
{
    PGconn *db = *state;
    PGconn *holder = test_connect(db, NULL), *sweeper = test_connect(db, "worker");
    struct people p;
    int64_t late;

    meet(&p, db);
    test_exec(holder, "BEGIN");
    test_text(holder, "SELECT pg_current_xact_id()"); /* nothing can be forgotten meanwhile */
    scatter(&p, 300);
    test_exec(p.late, "BEGIN");
    late = test_insert(p.late);
    scatter(&p, 300);
    claim_everything(&p, 600);
    assert_true(largest_head(&p) <= 300);
    assert_true(aside(&p) >= 256);

    for (int i = 0; i < LOOKS; i++)
        assert_true(test_int(sweeper, "SELECT awa.sweep_gaps()") >= 256);
    test_exec(p.late, "COMMIT");
    /* it is late in the head, or aside; from there the sweep brings it back */
    test_exec(sweeper, "SELECT awa.sweep_gaps()");
    expect_claim(&p, late);
    look_again(&p);
    assert_true(aside(&p) >= 256);

    test_exec(holder, "COMMIT");
    test_wait_settled(db);
    test_exec(sweeper, "SELECT awa.sweep_gaps()");
    assert_int_equal(aside(&p), 0);
    for (int generation = 0; generation < 3; generation++) { /* young, old, gone */
        assert_int_equal(claim_count(&p, 50), 0);
        test_wait_settled(db);
    }
    assert_string_equal(test_text(db, "SELECT awa.queue_may_have_work('default')"), "f");
}

static void
a_sweep_that_was_cut_forgets_nothing(void **state)
{
    PGconn *db = *state;
    PGconn *sweeper = test_connect(db, "worker");
    struct people p;
    int64_t got = 0;

    meet(&p, db);
    test_exec(p.late, "BEGIN");
    test_exec(p.late, "SELECT awa.insert_jobs(array_fill('late'::text, '{15000}'))");
    scatter(&p, 300);
    claim_everything(&p, 300);
    assert_true(aside(&p) >= 200);
    test_exec(p.late, "COMMIT");
    test_wait_settled(db);
    for (int i = 0; i < 10 && (aside(&p) > 0 || got < 15000); i++) {
        test_exec(sweeper, "SELECT awa.sweep_gaps()");
        got += claim_count(&p, 10000);
    }
    assert_int_equal(got, 15000);
}

static void
a_sweep_passes_over_a_lane_that_is_busy(void **state)
{
    PGconn *db = *state;
    PGconn *sweeper = test_connect(db, "worker");
    struct people p;
    int64_t late, fresh;

    meet(&p, db);
    test_exec(p.late, "BEGIN");
    late = test_insert(p.late);
    scatter(&p, 300);
    claim_everything(&p, 300);
    assert_true(aside(&p) > 0);
    fresh = test_insert(p.producer);
    test_exec(p.worker, "BEGIN");
    expect_claim(&p, fresh);
    test_exec(p.late, "COMMIT");
    test_exec(sweeper, "SET statement_timeout = '10 s'");
    assert_true(test_int(sweeper, "SELECT awa.sweep_gaps()") > 0);
    test_exec(p.worker, "COMMIT");
    test_wait_settled(db);
    test_exec(sweeper, "SELECT awa.sweep_gaps()");
    assert_int_equal(aside(&p), 0);
    expect_claim(&p, late);
    look_again(&p);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_DB(a_job_that_commits_late_is_claimed),
        TEST_DB(a_job_that_commits_after_a_drain_is_claimed),
        TEST_DB(a_producer_has_its_transaction_id_before_it_draws),
        TEST_DB(a_gap_is_dated_by_an_id_above_all_others),
        TEST_DB(a_gap_is_not_dated_by_an_id_from_before),
        TEST_DB(a_young_gap_outlives_an_old_one),
        TEST_DB(a_search_that_was_cut_forgets_nothing),
        TEST_DB(a_job_that_commits_after_the_search_is_not_forgotten),
        TEST_DB(what_is_handed_out_is_what_was_recorded),
        TEST_DB(many_gaps_are_moved_aside_and_lose_nothing),
        TEST_DB(a_sweep_that_was_cut_forgets_nothing),
        TEST_DB(a_sweep_passes_over_a_lane_that_is_busy),
    };

    return TEST_RUN(tests);
}
