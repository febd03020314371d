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
    int claims;
};

/* `late` draws positions in transactions that it keeps open, `producer` commits at once. */
static void
meet(struct people *p, PGconn *db)
{
    *p = (struct people){ db, test_connect(db, "producer"), test_connect(db, "producer"),
                          test_worker(db, 7), 0 };
    test_lane(db, 2);
}

/* A claim, 20 ms after the one before: gaps are not searched more often than every 10 ms. */
static const char *
claim_sql(struct people *p, const char *columns, int max)
{
    return test_format("SELECT %s FROM awa.claim_jobs(7, 'default', %d, clock_timestamp() + %d *"
                       " interval '20 ms')",
                       columns, max, p->claims++);
}

static const char *
claim_ids(struct people *p, int max)
{
    return test_text(p->worker, claim_sql(p, "coalesce(string_agg(id::text, ' '), '')", max));
}

static void
look_again(struct people *p)
{
    for (int i = 0; i < LOOKS; i++)
        assert_string_equal(claim_ids(p, 10), "");
}

static void
expect_claim(struct people *p, int64_t id)
{
    assert_string_equal(claim_ids(p, 10), test_format("%" PRId64, id));
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
                                        " awa.width(awa.all_gaps(gaps)) FROM awa.claims"),
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
        found = claim_ids(&p, 10);
        if (*found == '\0')
            fail_msg("%s: the job is lost", doors[i].call);
    }
    assert_string_equal(test_rows(db, "SELECT DISTINCT state FROM awa.jobs"), "running");
}

/* ---- G2: owners -------------------------------------------------------------------------- */

/* The groups of gaps that the head of the lane has: how many gaps, and the ids of their owners. */
static const char *
groups(struct people *p)
{
    return test_rows(p->db, "SELECT awa.count_gaps(g.gaps), g.owners FROM awa.lanes AS l CROSS JOIN"
                            " LATERAL awa.lane_head(l.lane_id) AS h CROSS JOIN LATERAL"
                            " unnest(h.gaps) AS g ORDER BY lower(g.gaps)");
}

static const char *
own_id(PGconn *conn)
{
    return test_text(conn, "SELECT pg_current_xact_id()");
}

/* G2. One who has an id only, or drew from another sequence, or in another database, owns nothing.
 */
static void
a_gap_is_kept_for_those_who_drew(void **state)
{
    struct people p;
    PGconn *idle = test_connect(*state, NULL), *elsewhere = test_connect_elsewhere(*state);
    PGconn *stranger = test_connect(*state, "producer"), *second = test_connect(*state, "producer");
    int64_t late, early;

    meet(&p, *state);
    for (int i = 0; i < 2; i++)
        test_exec(i == 0 ? idle : elsewhere, "BEGIN; SELECT pg_current_xact_id()");
    test_exec(stranger, "BEGIN; SELECT awa.insert_job('k', p_queue => 'another')");
    test_exec(p.late, "BEGIN");
    late = test_insert(p.late);
    test_exec(second, "BEGIN");
    test_insert(second);
    early = test_insert(p.producer);
    expect_claim(&p, early);
    assert_string_equal(groups(&p), "1|");
    look_again(&p);
    assert_string_equal(groups(&p), test_format("1|{%s,%s}", own_id(p.late), own_id(second)));
    test_exec(second, "ROLLBACK");
    look_again(&p);
    assert_string_equal(groups(&p), test_format("1|{%s}", own_id(p.late)));
    test_exec(p.late, "COMMIT");
    expect_claim(&p, late);
    assert_string_equal(groups(&p), "");
}

/* G2. It has no session any more, but its locks; and a restart of the server would leave them. */
static void
a_prepared_transaction_keeps_its_gaps(void **state)
{
    struct people p;
    const char *name = PQdb(*state);
    int64_t late, early;

    meet(&p, *state);
    test_exec(p.late, "BEGIN");
    late = test_insert(p.late);
    test_exec(p.late, test_format("PREPARE TRANSACTION '%s'", name));
    early = test_insert(p.producer);
    expect_claim(&p, early);
    look_again(&p);
    test_exec(p.late, test_format("COMMIT PREPARED '%s'", name));
    expect_claim(&p, late);
    look_again(&p);
}

/* G2. What the claimer's own transaction has drawn, it sees; or it has taken it back. */
static void
a_claimer_owns_no_gap(void **state)
{
    struct people p;

    meet(&p, *state);
    test_exec(p.db, "BEGIN; SAVEPOINT s");
    test_insert(p.db);
    test_exec(p.db, "ROLLBACK TO SAVEPOINT s");
    test_insert(p.db);
    for (int i = 0; i < 2; i++)
        test_exec(p.db, claim_sql(&p, "id", 10));
    assert_string_equal(groups(&p), "");
    test_exec(p.db, "COMMIT");
}

/* G2. pg_locks has ids of 32 bits, and snapshots of 64. */
static void
an_id_is_told_in_full(void **state)
{
    static const struct {
        const char *xid, *next, *want;
    } cases[] = {
        { "5", "10", "5" },
        { "12", "10", "12" }, /* drawn since the snapshot */
        { "5", "4294967306", "4294967301" },
        { "4294967290", "4294967306", "4294967290" },
        { "4294967290", "12884901898", "12884901882" },
        { "3", "4294967290", "4294967299" },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(test_text(*state, test_format("SELECT awa.full_xid('%s', %s)",
                                                          cases[i].xid, cases[i].next)),
                            cases[i].want);
}

/* G2. When an old gap is forgotten, a young one keeps its owners. */
static void
a_young_gap_outlives_an_old_one(void **state)
{
    struct people p;
    int64_t late, early;

    meet(&p, *state);
    test_exec(p.late, "BEGIN");
    test_insert(p.late);
    test_exec(p.late, "ROLLBACK");
    expect_claim(&p, test_insert(p.producer)); /* the owners of the first gap are not known yet */
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
        assert_int_equal(strlen(claim_ids(&p, 1)), 1);
    look_again(&p);
}

/* G3. The job commits after the search, and before the claimer decides what it may forget. */
static void
a_job_that_commits_after_the_search_is_not_forgotten(void **state)
{
    struct people p;
    int64_t late, early;

    meet(&p, *state);
    test_gate(p.db, "find_withdrawn", "RETURN (SELECT"); /* the last step of a search */
    test_exec(p.late, "BEGIN");
    late = test_insert(p.late);
    early = test_insert(p.producer);
    expect_claim(&p, early);
    test_gate_shut(p.db);
    test_send(p.worker, claim_sql(&p, "id", 10));
    test_wait_at_gate(p.db, p.worker);
    test_exec(p.late, "COMMIT");
    test_gate_open(p.db);
    assert_string_equal(test_answer(p.worker), "");
    expect_claim(&p, late);
}

/* The same, after the owner had been noted: it ends as the next search comes to its end. */
static void
owners_are_asked_before_each_search(void **state)
{
    struct people p;
    PGconn *second = test_connect(*state, "producer");
    int64_t late;

    meet(&p, *state);
    test_gate(p.db, "find_withdrawn", "RETURN (SELECT");
    test_exec(p.late, "BEGIN");
    late = test_insert(p.late);
    test_exec(second, "BEGIN");
    test_insert(second);
    expect_claim(&p, test_insert(p.producer));
    look_again(&p);
    test_exec(second, "ROLLBACK"); /* news: it searches */
    test_gate_shut(p.db);
    test_send(p.worker, claim_sql(&p, "id", 10));
    test_wait_at_gate(p.db, p.worker);
    test_exec(p.late, "COMMIT");
    test_gate_open(p.db);
    assert_string_equal(test_answer(p.worker), "");
    expect_claim(&p, late);
}

/* Else the claim that its commit asks for would come back empty, and the worker go to sleep. */
static void
a_late_job_is_found_at_once_if_there_is_nothing_else(void **state)
{
    struct people p;
    int64_t late, early;

    meet(&p, *state);
    for (int i = 0; i < LOOKS; i++) {
        test_exec(p.late, "BEGIN");
        late = test_insert(p.late);
        early = test_insert(p.producer);
        test_exec(p.worker, "BEGIN"); /* at one moment, as far as claims know */
        assert_int_equal(
            test_int(p.worker, "SELECT id FROM awa.claim_jobs(7, 'default', 10, now())"), early);
        test_exec(p.worker, "SELECT id FROM awa.claim_jobs(7, 'default', 10, now())");
        test_exec(p.late, "COMMIT");
        assert_int_equal(
            test_int(p.worker, "SELECT id FROM awa.claim_jobs(7, 'default', 10, now())"), late);
        test_exec(p.worker, "COMMIT");
    }
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
    test_send(p.worker, claim_sql(&p, "id", 10));
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
    return test_int(p->worker, claim_sql(p, "count(*)", max));
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
    return test_int(p->db, "SELECT max(awa.count_gaps(awa.all_gaps(gaps))) FROM awa.claims");
}

static int64_t
aside(struct people *p)
{
    return test_int(p->db, "SELECT coalesce(sum(awa.count_gaps(gaps)), 0) FROM awa.lane_gaps");
}

/* Which rows there are: none that was taken out and put back. */
static const char *
rows_aside(struct people *p)
{
    return test_rows(p->db, "SELECT count(*), min(gap_id), max(gap_id) FROM awa.lane_gaps");
}

static void
expect_no_gaps(struct people *p)
{
    assert_int_equal(aside(p), 0);
    assert_string_equal(groups(p), "");
    assert_string_equal(test_text(p->db, "SELECT awa.queue_has_work('default')"), "f");
}

/* Two owners: `first` may own each gap, `late` those that came after it has drawn. */
static void
many_gaps_are_moved_aside_and_lose_nothing(void **state)
{
    PGconn *db = *state;
    PGconn *first = test_connect(db, "producer"), *sweeper = test_connect(db, "worker");
    struct people p;
    int64_t late;
    const char *rows;

    meet(&p, db);
    test_exec(first, "BEGIN");
    test_insert(first);
    scatter(&p, 300);
    claim_everything(&p, 300);
    test_exec(p.late, "BEGIN");
    late = test_insert(p.late);
    scatter(&p, 300);
    claim_everything(&p, 300);
    assert_in_range(largest_head(&p), 1, 128);
    assert_in_range(aside(&p), 600 - 128, 602);

    test_exec(sweeper, "SELECT awa.sweep_gaps()");
    rows = rows_aside(&p);
    for (int i = 0; i < LOOKS; i++)
        assert_in_range(test_int(sweeper, "SELECT awa.sweep_gaps()"), 600 - 128, 602);
    assert_string_equal(rows_aside(&p), rows); /* none is looked at while all are open */
    test_exec(p.late, "COMMIT");
    /* it is late in the head, or aside; from there the sweep brings it back */
    test_exec(sweeper, "SELECT awa.sweep_gaps()");
    expect_claim(&p, late);
    look_again(&p);
    assert_in_range(aside(&p), 600 - 128, 601);

    test_exec(first, "ROLLBACK");
    assert_int_equal(test_int(sweeper, "SELECT awa.sweep_gaps()"), 0);
    look_again(&p);
    expect_no_gaps(&p);
}

/* The longest transactions of all are those of reports, and of others' databases. */
static void
a_transaction_that_never_drew_keeps_no_gap(void **state)
{
    PGconn *db = *state;
    PGconn *idle = test_connect(db, NULL), *elsewhere = test_connect_elsewhere(db);
    struct people p;

    meet(&p, db);
    test_exec(idle, "BEGIN; SELECT pg_current_xact_id()");
    test_exec(elsewhere, "BEGIN; SELECT pg_current_xact_id()");
    scatter(&p, 1000);
    claim_everything(&p, 1000);
    assert_in_range(largest_head(&p), 50, 51);
    assert_null(test_text(db, "SELECT pg_sequence_last_value(pg_get_serial_sequence("
                              "'awa.lane_gaps', 'gap_id')::regclass)"));
    expect_no_gaps(&p);
    test_exec(idle, "COMMIT");
    test_exec(elsewhere, "COMMIT");
}

/* A thousand rollbacks beside one long transaction that has drawn. */
static void
what_one_transaction_keeps_goes_when_it_ends(void **state)
{
    PGconn *db = *state;
    PGconn *sweeper = test_connect(db, "worker");
    struct people p;
    int64_t late;

    meet(&p, db);
    test_exec(p.late, "BEGIN");
    late = test_insert(p.late);
    scatter(&p, 1000);
    claim_everything(&p, 1000);
    assert_in_range(aside(&p), 1000 - 128, 1001);
    assert_in_range(test_int(db, "SELECT count(*) FROM awa.lane_gaps"), 1, 101);
    test_exec(p.late, "COMMIT");
    assert_int_equal(test_int(sweeper, "SELECT awa.sweep_gaps()"), 0);
    expect_claim(&p, late);
    look_again(&p);
    expect_no_gaps(&p);
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
    assert_true(aside(&p) >= 150);
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
        TEST_DB(a_gap_is_kept_for_those_who_drew),
        TEST_DB(a_prepared_transaction_keeps_its_gaps),
        TEST_DB(a_claimer_owns_no_gap),
        TEST_DB(an_id_is_told_in_full),
        TEST_DB(a_young_gap_outlives_an_old_one),
        TEST_DB(a_search_that_was_cut_forgets_nothing),
        TEST_DB(a_job_that_commits_after_the_search_is_not_forgotten),
        TEST_DB(owners_are_asked_before_each_search),
        TEST_DB(a_late_job_is_found_at_once_if_there_is_nothing_else),
        TEST_DB(what_is_handed_out_is_what_was_recorded),
        TEST_DB(many_gaps_are_moved_aside_and_lose_nothing),
        TEST_DB(a_transaction_that_never_drew_keeps_no_gap),
        TEST_DB(what_one_transaction_keeps_goes_when_it_ends),
        TEST_DB(a_sweep_that_was_cut_forgets_nothing),
        TEST_DB(a_sweep_passes_over_a_lane_that_is_busy),
    };

    return TEST_RUN(tests);
}
