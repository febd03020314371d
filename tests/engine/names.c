/* SPDX-License-Identifier: MIT */
/*
 * What is kept for each name that users choose comes to an end: unique keys, queues, lanes. And
 * what is looked up by them, or counted for gauges, costs what is there and not what was there
 * once.
 */
#include "test_jobs.h"

#include <inttypes.h>
#include <string.h>

#define KEYS "SELECT count(*) FROM awa.unique_keys"

/* Turns the ring and empties the slot that was current: heads, what is kept, all of it. */
static const char *
empty_slot(PGconn *db)
{
    int64_t slot = test_int(db, "SELECT awa.current_slot()");

    test_exec(db, "SELECT awa.rotate_ring(true)");
    test_exec(db, test_format("SELECT awa.checkpoint_heads(%" PRId64 "::smallint)", slot));
    test_exec(db, test_format("SELECT awa.carry_forward(%" PRId64 "::smallint)", slot));
    return test_text(db, test_format("SELECT awa.prune_slot(%" PRId64 "::smallint)", slot));
}

/* ---- Unique keys ------------------------------------------------------------------------- */

static void
keys_go_with_the_slot_in_which_their_jobs_ended(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);

    test_exec(db, "UPDATE awa.settings SET failed_retention = '0 s'");
    test_exec(db, "SELECT awa.insert_job('k', p_unique_key => 'k' || i)"
                  " FROM generate_series(1, 6) AS i");
    test_complete(worker, "default", 2);
    test_end(worker, "default", 1, "failed");
    test_end(worker, "default", 1, "retried"); /* lives on, deferred */
    test_exec(db, "SELECT awa.cancel_job(5)");
    assert_int_equal(test_int(db, KEYS), 6);
    assert_string_equal(empty_slot(db), "pruned");
    assert_string_equal(test_rows(db, "SELECT unique_key FROM awa.unique_keys ORDER BY 1"),
                        "k4 k6");
    assert_null(test_text(db, "SELECT awa.insert_job('k', p_unique_key => 'k4')"));
    assert_null(test_text(db, "SELECT awa.insert_job('k', p_unique_key => 'k6')"));
    assert_non_null(test_text(db, "SELECT awa.insert_job('k', p_unique_key => 'k1')"));
}

static void
a_job_that_was_retried_keeps_its_key(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *operator= test_connect(db, "operator");

    test_exec(db, "SELECT awa.insert_job('k', p_unique_key => 'k')");
    test_end(worker, "default", 1, "failed");
    test_exec(db, "SELECT awa.rotate_ring(true)");
    test_exec(operator, "SELECT awa.retry_job(1)");
    test_exec(db, "SELECT awa.checkpoint_heads(0::smallint), awa.carry_forward(0::smallint)");
    assert_string_equal(test_text(db, "SELECT awa.prune_slot(0::smallint)"), "pruned");
    assert_int_equal(test_int(db, KEYS), 1);
    assert_null(test_text(db, "SELECT awa.insert_job('k', p_unique_key => 'k')"));
}

static void
a_key_goes_with_a_job_that_an_operator_removes(void **state)
{
    static const char *const removals[] = {
        "DELETE FROM awa.jobs",
        "SELECT awa.discard_failed(p_all => true)",
        "SELECT awa.move_to_dlq(id), awa.purge_dlq(p_all => true) FROM awa.jobs",
    };
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *operator= test_connect(db, "operator");

    for (size_t i = 0; i < sizeof removals / sizeof removals[0]; i++) {
        test_exec(db, "SELECT awa.insert_job('k', p_unique_key => 'k')");
        test_end(worker, "default", 1, "failed");
        test_exec(operator, removals[i]);
        if (test_int(db, KEYS) != 0)
            fail_msg("%s: left its key", removals[i]);
    }
}

/* ---- Queues ------------------------------------------------------------------------------ */

static void
a_queue_in_use_is_not_removed(void **state)
{
    static const struct {
        const char *make, *unmake;
    } uses[] = {
        { "SELECT awa.insert_job('k', p_queue => 'q')", "SELECT awa.drain_queue('q')" },
        { "SELECT awa.insert_job('k', p_queue => 'q', p_delay => '1 h')",
          "SELECT awa.drain_queue('q')" },
        { "SELECT awa.register_worker(70, 'w', '{q}')", "SELECT awa.deregister_worker(70)" },
    };
    PGconn *db = *state;
    PGconn *operator= test_connect(db, "operator");

    for (size_t i = 0; i < sizeof uses / sizeof uses[0]; i++) {
        test_exec(db, uses[i].make);
        test_expect_error(operator, "JQ007", "SELECT awa.remove_queue('q')");
        test_exec(db, uses[i].unmake);
    }
    assert_string_equal(test_text(operator, "SELECT awa.remove_queue('q')"), "t");
    assert_string_equal(test_text(operator, "SELECT awa.remove_queue('q')"), "f");
}

static void
a_removed_queue_goes_with_its_history(void **state)
{
    static const char lanes[] = "SELECT queue, sealed, retired FROM awa.lanes ORDER BY lane_id";
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *operator= test_connect(db, "operator");
    PGconn *leader = test_connect(db, "worker");

    test_exec(db, "SELECT awa.insert_jobs('{a,b}')");
    test_complete(worker, "default", 2);
    test_exec(worker, "SELECT awa.deregister_worker(7)");
    test_exec(operator, "SELECT awa.remove_queue('default')");
    test_exec(leader, "SELECT awa.seal_full_lanes()");
    assert_string_equal(test_rows(db, lanes), "default|t|f"); /* its history is still there */
    assert_int_equal(test_count(db, "completed"), 2);
    assert_string_equal(empty_slot(db), "pruned");
    test_exec(leader, "SELECT awa.seal_full_lanes()");
    assert_string_equal(test_rows(db, lanes), "default|t|t");
    assert_string_equal(test_rows(db, "SELECT queue FROM awa.queue_list"), "");
    test_exec(db, "SELECT awa.insert_job('k', p_queue => 'other')"); /* or no slot is left */
    assert_string_equal(empty_slot(db), "pruned"); /* with the head, which nobody keeps */
    test_exec(leader, "SELECT awa.seal_full_lanes()");
    assert_string_equal(test_rows(db, lanes), "other|f|f");
    assert_int_equal(test_int(db, "SELECT count(*) FROM awa.queue_terminal_rollups"), 0);
}

/* It has drawn a position before the queue was removed, and commits long after. */
static void
a_late_job_of_a_removed_queue_is_not_lost(void **state)
{
    PGconn *db = *state;
    PGconn *late = test_connect(db, "producer"), *operator= test_connect(db, "operator");
    PGconn *leader = test_connect(db, "worker"), *worker;

    test_lane(db, 2);
    test_exec(late, "BEGIN");
    test_insert(late);
    test_exec(operator, "SELECT awa.remove_queue('default')");
    test_exec(leader, "SELECT awa.seal_full_lanes()");
    assert_string_equal(test_rows(db, "SELECT sealed, retired FROM awa.lanes"), "t|f");
    test_exec(late, "COMMIT");
    worker = test_worker(db, 7);
    assert_string_equal(test_claim_ids(worker, 7, 10), "1");
}

/* ---- What was there once ----------------------------------------------------------------- */

static void
a_list_does_not_walk_over_ids_that_are_gone(void **state)
{
    PGconn *db = *state;
    PGconn *viewer = test_connect(db, "viewer");

    test_exec(db, "SELECT awa.insert_job('old')");
    test_exec(db, "SELECT setval('awa.job_ids', 9000000000000000000)");
    test_exec(db, "SELECT awa.insert_job('new')");
    test_exec(viewer, "SET statement_timeout = '20 s'");
    assert_string_equal(test_rows(viewer, "SELECT id, kind FROM awa.list_jobs()"),
                        "9000000000000000001|new 1|old");
    assert_string_equal(test_rows(viewer, "SELECT id FROM awa.list_jobs(p_kind => 'old')"), "1");
    assert_string_equal(test_rows(viewer, "SELECT id FROM awa.list_jobs(p_tag => 'rare')"), "");
    assert_string_equal(test_rows(viewer, "SELECT id FROM awa.list_jobs('completed')"), "");
}

static void
gauges_are_the_leaders_report(void **state)
{
    static const char gauges[] = "SELECT queue, available, deferred, running, completed FROM"
                                 " awa.queue_counts_fast()";
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *viewer = test_connect(db, "viewer");

    test_exec(db, "SELECT awa.insert_jobs('{a,b,c}')");
    test_exec(db, "SELECT awa.insert_job('d', p_delay => '1 h')");
    assert_string_equal(test_rows(viewer, gauges), "default|3|1|0|0"); /* without one, as it is */
    assert_string_equal(test_claim_ids(worker, 7, 1), "1");
    test_exec(worker, "SELECT awa.heartbeat('{7}', p_queues => '{default}', p_held => '{1}')");
    assert_string_equal(test_rows(viewer, gauges), "default|2|1|1|0");
    test_exec(worker, "SELECT awa.turn_ring()");
    test_exec(db, "SELECT awa.insert_job('e')");
    assert_string_equal(test_rows(viewer, gauges), "default|2|1|1|0");
    test_exec(db, "UPDATE awa.worker_beats SET seen_at = seen_at - interval '6 s'");
    assert_string_equal(test_rows(viewer, gauges), "default|3|1|1|0");
}

/* ---- A fleet ----------------------------------------------------------------------------- */

static void
of_a_fleet_only_four_listen(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_connect(db, "worker");

    for (int i = 1; i <= 7; i++)
        test_exec(worker, test_format("SELECT awa.register_worker(%d, 'w', '{a}')", i));
    test_exec(worker, "SELECT awa.register_worker(8, 'w', '{b,c}')");
    assert_string_equal(test_rows(worker, "SELECT s, h.listens, h.poll_ms FROM generate_series(1,"
                                          " 8) AS s, awa.heartbeat(ARRAY[s::bigint]) AS h"),
                        "1|t| 2|t| 3|t| 4|t| 5|f|160 6|f|160 7|f|160 8|t|");
    test_exec(worker, "SELECT awa.deregister_worker(2)");
    assert_string_equal(test_rows(worker, "SELECT listens FROM awa.heartbeat('{5}')"), "t");
}

/* How many of 300 heartbeats of a worker find the job that waits. */
static int64_t
looks_of(PGconn *conn, int worker)
{
    return test_int(conn, test_format("SELECT count(*) FROM generate_series(1, 300) AS s CROSS JOIN"
                                      " LATERAL awa.heartbeat(ARRAY[%d + s * 0], '{default}') AS h"
                                      " WHERE h.ready = '{default}'",
                                      worker));
}

/* Looks and candidates do not grow with the fleet. */
static void
of_a_large_fleet_some_heartbeats_look(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_connect(db, "worker");
    int64_t n;

    test_exec(worker, "SELECT awa.register_worker(s, 'w', '{default}', p_session => false)"
                      " FROM generate_series(1, 300) AS s ORDER BY s");
    test_exec(db, "SELECT awa.insert_job('k')");
    assert_int_equal(looks_of(worker, 1), 300);
    n = looks_of(worker, 300);
    if (n < 50 || n > 150) /* of 100 to be expected */
        fail_msg("%" PRId64 " of 300 looked", n);
    assert_int_equal(test_int(worker, "SELECT (term IS NOT NULL)::int FROM awa.lead(1)"), 1);
    assert_true(test_int(worker, "SELECT wait_ms FROM awa.lead(2)") < 5000);
    assert_true(test_int(worker, "SELECT wait_ms FROM awa.lead(300)") > 9000);
}

/* Fifty times a second, all of them together: that must not use up transaction ids. */
static void
a_worker_that_looks_for_work_writes_nothing(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);

    test_lane(db, 2);
    test_exec(worker, "BEGIN");
    assert_string_equal(test_text(worker, "SELECT awa.ready_queues('{default,none}')"), "{}");
    test_exec(db, "SELECT awa.insert_job('k')");
    assert_string_equal(test_text(worker, "SELECT awa.ready_queues('{default,none}')"),
                        "{default}");
    assert_null(test_text(worker, "SELECT pg_current_xact_id_if_assigned()"));
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_DB(keys_go_with_the_slot_in_which_their_jobs_ended),
        TEST_DB(a_job_that_was_retried_keeps_its_key),
        TEST_DB(a_key_goes_with_a_job_that_an_operator_removes),
        TEST_DB(a_queue_in_use_is_not_removed),
        TEST_DB(a_removed_queue_goes_with_its_history),
        TEST_DB(a_late_job_of_a_removed_queue_is_not_lost),
        TEST_DB(a_list_does_not_walk_over_ids_that_are_gone),
        TEST_DB(gauges_are_the_leaders_report),
        TEST_DB(of_a_fleet_only_four_listen),
        TEST_DB(of_a_large_fleet_some_heartbeats_look),
        TEST_DB(a_worker_that_looks_for_work_writes_nothing),
    };

    return TEST_RUN(tests);
}
