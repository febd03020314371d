/* SPDX-License-Identifier: MIT */
/* awa.reset_storage(): an empty system looks empty, and what comes after it is not lost. */
#include "test_jobs.h"

static const char reset[] = "SELECT awa.reset_storage(current_database())";

/* What is there, on every surface: an empty text if nothing is. */
static const char left[] =
    "SELECT concat((SELECT string_agg(j.id || ' is there. ', '') FROM awa.jobs AS j),"
    " (SELECT string_agg('queue_counts: ' || c || '. ', '') FROM awa.queue_counts() AS c WHERE"
    "  (c.available, c.scheduled, c.retryable, c.running, c.waiting_external, c.completed,"
    "  c.failed, c.cancelled, c.dead_lettered, c.pruned_completed, c.pruned_failed,"
    "  c.pruned_cancelled) <> (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)),"
    " (SELECT string_agg('queue_counts_fast: ' || c || '. ', '') FROM awa.queue_counts_fast() AS c"
    "  WHERE (c.available, c.deferred, c.running, c.completed, c.failed, c.cancelled,"
    "  c.dead_lettered) <> (0, 0, 0, 0, 0, 0, 0)),"
    " (SELECT string_agg('listed: ' || j.id || '. ', '') FROM awa.list_jobs() AS j),"
    " (SELECT string_agg('listed as ' || s || ': ' || j.id || '. ', '')"
    "    FROM unnest(enum_range(NULL::awa.job_state)) AS s, awa.list_jobs(s) AS j),"
    " (SELECT string_agg('dead: ' || d.id || '. ', '') FROM awa.list_dlq() AS d),"
    " (SELECT string_agg('depth: ' || d || '. ', '') FROM awa.dlq_depth() AS d),"
    " (SELECT string_agg(s.item || ': ' || s.value || '. ', '') FROM awa.storage_status() AS s"
    "   WHERE (s.item = 'pruned jobs' AND s.value <> '0 completed, 0 failed, 0 cancelled')"
    "      OR (s.item IN ('dead letters', 'folded slots') AND s.value <> '0')"
    "      OR (s.item = 'terminal counters' AND s.value NOT LIKE 'trusted since %')"
    "      OR (s.item = 'deferred jobs' AND s.value NOT IN ('about 0', 'not counted yet'))),"
    " (SELECT string_agg(h.name || ': ' || h.detail || '. ', '') FROM awa.health() AS h"
    "   WHERE h.name = 'deferred jobs' AND NOT h.ok),"
    " (SELECT string_agg('claimed: ' || c.id || '. ', '')"
    "    FROM unnest('{default,q0,q1,q2}'::text[]) AS q, awa.claim_jobs(7, q, 100) AS c),"
    " (SELECT 'it is not so: ' || r.trouble || '. ' FROM test.recount() AS r))";

static void
an_empty_system_looks_empty(void **state)
{
    PGconn *db = *state;
    PGconn *operator= test_connect(db, "operator");

    test_make_recount(db);
    test_exec(db, "UPDATE awa.settings SET dlq_enabled = true");
    test_shake(db, 3, 200);
    test_exec(db, "SELECT awa.turn_ring(clock_timestamp() + interval '2 min')");
    test_exec(db, "UPDATE awa.settings SET terminal_counters_trusted_at = NULL");
    assert_true(test_int(db, "SELECT count(*) FROM awa.jobs") > 20);
    test_exec(operator, reset);
    assert_string_equal(test_text(db, left), "");
    test_exec(operator, reset);
    assert_string_equal(test_text(db, left), "");
}

static void
what_was_running_is_stale(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);
    struct attempt a[3];

    test_exec(db, "SELECT awa.insert_jobs(array_fill('k'::text, '{3}'))");
    assert_int_equal(test_claim(worker, 7, 3, a), 3);
    test_exec(db, reset);
    assert_string_equal(test_close(worker, &a[0], "failed"), "stale");
    assert_string_equal(test_text(worker, test_complete_sql(&a[1])), "{}");
    test_expect_error(worker, "JQ003",
                      test_attempt_sql("SELECT awa.complete_job(7, <claim>, <pos>)", &a[2]));
    assert_string_equal(
        test_text(worker, test_attempt_sql("SELECT lost = '<run>' FROM awa.heartbeat('{7}', '{}',"
                                           " '{<claim>}', '{\"<run>\"}')",
                                           &a[2])),
        "t");
    test_make_recount(db);
    assert_string_equal(test_text(db, left), "");
}

/* One slot full of ended jobs, emptied. */
static void
go_on(PGconn *db, PGconn *worker)
{
    int64_t slot = test_int(db, "SELECT awa.current_slot()");

    test_exec(db, "SELECT awa.insert_jobs(array_fill('k'::text, '{9}'))");
    test_counts(db);
    test_complete(worker, "default", 4);
    test_end(worker, "default", 4, "failed");
    test_exec(db, "SELECT awa.cancel_job(awa.newest_id())");
    test_counts(db);
    test_exec(db, "SELECT awa.rotate_ring(true)");
    test_exec(worker, "SELECT awa.turn_ring(clock_timestamp() + interval '2 min')");
    test_counts(db);
    test_exec(worker, test_format("SELECT awa.checkpoint_heads(%lld::smallint)", (long long)slot));
    assert_string_equal(test_text(worker, test_format("SELECT awa.prune_slot(%lld::smallint,"
                                                      " clock_timestamp() + '1 year')",
                                                      (long long)slot)),
                        "pruned");
    test_counts(db);
}

static void
everything_works_on(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);

    test_exec(db, "UPDATE awa.settings SET slot_age = '1000 years'");
    for (int i = 0; i < 3; i++) {
        go_on(db, worker);
        test_exec(db, "SELECT awa.insert_jobs(array_fill('k'::text, '{9}'))");
        test_end(worker, "default", 5, "retried");
        test_exec(db, reset);
        if (i > 0)
            test_exec(worker, "SELECT awa.sweep_gaps()");
    }
    go_on(db, worker);
    assert_string_equal(test_rows(db, "SELECT pruned_completed, pruned_failed, pruned_cancelled"
                                      " FROM awa.queue_counts()"),
                        "4|4|1");
}

static void
it_asks_which_database_is_meant(void **state)
{
    PGconn *operator= test_connect(*state, "operator");

    test_insert(*state);
    test_expect_error(operator, "JQ001", "SELECT awa.reset_storage('another')");
    test_expect_error(operator, "JQ001", "SELECT awa.reset_storage(NULL)");
    test_expect_error(test_worker(*state, 7), "42501", reset);
    assert_string_equal(test_state(*state, 1), "available");
}

static void
it_does_not_wait_for_those_who_use_the_queue(void **state)
{
    PGconn *db = *state, *producer = test_connect(db, "producer");
    PGconn *operator= test_connect(db, "operator"), *worker = test_worker(db, 7);

    test_exec(producer, "BEGIN");
    test_insert(producer);
    test_expect_error(operator, "JQ006", reset);
    test_exec(producer, "COMMIT");
    test_exec(worker, "BEGIN");
    test_claim_one(worker, 7);
    test_expect_error(operator, "JQ006", reset);
    test_exec(worker, "COMMIT");
    assert_string_equal(test_state(db, 1), "running");
    test_exec(operator, reset);
}

/* ---- Producers in flight ----------------------------------------------------------------- */

/* Whatever others do meanwhile, the job is claimed in the end, once. */
static void
expect_claimed(PGconn *db, PGconn *worker)
{
    test_exec(worker, "SELECT awa.sweep_gaps()");
    test_counts(db);
    assert_int_equal(test_int(db, "SELECT available FROM awa.queue_counts('default')"), 1);
    test_complete(worker, "default", 10);
    test_counts(db);
    assert_int_equal(test_int(db, "SELECT completed FROM awa.queue_counts('default')"), 1);
    test_wait_settled(db);
    for (int i = 0; i < 3; i++)
        test_exec(worker, "SELECT awa.sweep_gaps(), awa.claim_jobs(7, 'default', 10)");
    assert_int_equal(test_int(db, "SELECT count(*) FROM awa.lane_gaps"), 0);
    assert_int_equal(test_int(db, "SELECT count(*) FROM awa.jobs"), 1);
}

/* It has drawn its position, and writes nothing before the reset has come and gone. */
static void
a_job_of_a_copy_in_flight_is_not_lost(void **state)
{
    PGconn *db = *state, *bulk = test_connect(db, "bulk"), *worker = test_worker(db, 7);
    const char *at;

    test_insert(db);
    test_exec(bulk, "BEGIN");
    at = test_rows(bulk, "SELECT r.ready_slot, r.first_id, r.first_pos"
                         "  FROM awa.reserve_positions('{default}', NULL, NULL, '{1}') AS r");
    test_exec(db, reset);
    for (int i = 0; i < 3; i++)
        test_exec(worker, "SELECT awa.sweep_gaps(), awa.claim_jobs(7, 'default', 10)");
    test_exec(bulk, test_format("INSERT INTO awa.ready_entries (ready_slot, id, pos, enqueued_at,"
                                " attempt, max_attempts, kind, args) SELECT p[1]::smallint,"
                                " p[2]::bigint, p[3]::bigint, now(), 0, 1, 'k', '{}'"
                                " FROM string_to_array('%s', '|') AS p",
                                at));
    test_exec(worker, "SELECT awa.sweep_gaps(), awa.claim_jobs(7, 'default', 10)");
    test_exec(bulk, "COMMIT");
    expect_claimed(db, worker);
}

/*
 * A producer that begins while the reset goes on: it is younger than the reset, but draws its
 * position before the reset has ended.
 */
static void
insert_during_reset(PGconn *db, const char *before)
{
    PGconn *producer = test_connect(db, "producer"), *worker = test_worker(db, 7);
    PGconn *operator= test_connect(db, "operator");

    test_insert(db);
    test_gate(db, "reset_storage", "INSERT INTO awa.claims");
    test_exec(operator, before);
    test_gate_shut(db);
    test_send(operator, reset);
    test_wait_at_gate(db, operator);
    test_exec(producer, "BEGIN");
    test_send(producer, "SELECT awa.insert_job('k')");
    test_wait_blocked(db, producer);
    test_gate_open(db);
    test_answer(operator);
    test_exec(operator, "COMMIT");
    test_answer(producer);
    for (int i = 0; i < 3; i++)
        test_exec(worker, "SELECT awa.sweep_gaps(), awa.claim_jobs(7, 'default', 10)");
    test_exec(producer, "COMMIT");
    expect_claimed(db, worker);
}

static void
a_job_that_is_inserted_during_the_reset_is_not_lost(void **state)
{
    insert_during_reset(*state, "BEGIN");
}

/* The same when the reset's transaction has its id since long before the producer began. */
static void
a_reset_may_come_late_in_a_transaction(void **state)
{
    insert_during_reset(*state, "BEGIN; SELECT awa.set_queue('q', 2)");
}

static void
a_reset_refuses_an_old_snapshot(void **state)
{
    PGconn *operator= test_connect(*state, "operator");

    test_insert(*state);
    test_exec(operator, "BEGIN ISOLATION LEVEL REPEATABLE READ");
    test_expect_error(operator, "JQ001", reset);
    test_exec(operator, "ROLLBACK");
    assert_string_equal(test_state(*state, 1), "available");
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_DB(an_empty_system_looks_empty),
        TEST_DB(what_was_running_is_stale),
        TEST_DB(everything_works_on),
        TEST_DB(it_asks_which_database_is_meant),
        TEST_DB(it_does_not_wait_for_those_who_use_the_queue),
        TEST_DB(a_job_of_a_copy_in_flight_is_not_lost),
        TEST_DB(a_job_that_is_inserted_during_the_reset_is_not_lost),
        TEST_DB(a_reset_may_come_late_in_a_transaction),
        TEST_DB(a_reset_refuses_an_old_snapshot),
    };

    return TEST_RUN(tests);
}
