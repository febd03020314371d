/* SPDX-License-Identifier: MIT */
/* What operators do to a queue, and how its workers are woken. */
#include "test_jobs.h"

#include <inttypes.h>
#include <poll.h>
#include <string.h>

#include "cli/spawn.h"

/* ---- Settings ---------------------------------------------------------------------------- */

static void
a_queue_has_settings_of_its_own(void **state)
{
    static const char shown[] = "SELECT enqueue_shards, deadline, aging_interval FROM awa.queues";
    static const struct {
        const char *call, *want;
    } cases[] = {
        { "", "1||" },
        { ", 8", "8||" },
        { ", p_deadline => '7 s'", "8|00:00:07|" },
        { ", p_aging_interval => '5 s'", "8|00:00:07|00:00:05" },
        { ", 64, '0 s', '0 s'", "64|00:00:00|00:00:00" },
        { ", p_deadline => '9 s', p_reset => true", "64|00:00:09|" },
        { ", p_reset => true", "64||" },
    };
    static const struct {
        const char *call, *want;
    } wrong[] = {
        { "'q', 0", "JQ001 queue: enqueue_shards: want 1 to 64, got 0" },
        { "'q', 65", "JQ001 queue: enqueue_shards: want 1 to 64, got 65" },
        { "'q', p_deadline => '-1 s'", "JQ001 queue: deadline: want 0 to 365 days, got -00:00:01" },
        { "'q', p_aging_interval => '366 days'",
          "JQ001 queue: aging_interval: want 0 to 365 days, got 366 days" },
        { "'q', p_completed_retention => '-1 s'",
          "JQ001 queue: completed_retention: want 0 to 1000 years, got -00:00:01" },
        { "'q', p_failed_retention => '1001 years'",
          "JQ001 queue: failed_retention: want 0 to 1000 years, got 1001 years" },
        { "'q', p_dlq_retention => '1001 years'",
          "JQ001 queue: dlq_retention: want 0 to 1000 years, got 1001 years" },
        { "''", "JQ001 queue: want 1 to 200 bytes, got 0" },
        { "repeat('q', 201)", "JQ001 queue: want 1 to 200 bytes, got 201" },
        { "NULL", "JQ001 queue: want 1 to 200 bytes, got 0" },
    };
    PGconn *db = *state;
    PGconn *operator= test_connect(db, "operator");

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        test_exec(operator, test_format("SELECT awa.set_queue('q'%s)", cases[i].call));
        assert_string_equal(test_rows(db, shown), cases[i].want);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_string_equal(
            test_error(operator, test_format("SELECT awa.set_queue(%s)", wrong[i].call)),
            wrong[i].want);
    assert_string_equal(test_rows(db, shown), "64||");
}

/* Times are reckoned back from now: for the longest, too, there is a time. */
static void
the_longest_times_stop_nothing(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);

    test_exec(db,
              "SELECT awa.set_defaults('365 days', '365 days', true, '1000 years', '1000 years',"
              " '1000 years')");
    test_exec(db, "SELECT awa.set_queue('default', p_deadline => '365 days', p_aging_interval =>"
                  " '365 days', p_dlq_enabled => true, p_completed_retention => '1000 years',"
                  " p_failed_retention => '1000 years', p_dlq_retention => '1000 years')");
    (void)test_insert(db);
    test_end(worker, "default", 1, "failed");
    (void)test_insert(db);
    test_exec(db, "SELECT awa.rotate_ring(true); SELECT awa.turn_ring(); SELECT awa.expire_dlq();"
                  " SELECT awa.expire_jobs()");
    assert_int_equal(test_int(worker, "SELECT count(*) FROM awa.claim_jobs(7, 'default', 1)"), 1);
    assert_string_equal(test_error(db, "SELECT awa.set_defaults(p_dlq_retention => '1001 years')"),
                        "JQ001 defaults: dlq_retention: want 0 to 1000 years, got 1001 years");
}

/* The settings of queue 'q' itself, - for the common one, and its shards. */
static const char *
own_settings(PGconn *db)
{
    return test_rows(db, "SELECT enqueue_shards, coalesce(deadline::text, '-'),"
                         " coalesce(aging_interval::text, '-'), coalesce(dlq_enabled::text, '-'),"
                         " coalesce(completed_retention::text, '-'),"
                         " coalesce(failed_retention::text, '-'),"
                         " coalesce(dlq_retention::text, '-') FROM awa.queues WHERE queue = 'q'");
}

static void
each_setting_of_a_queue_goes_back_to_its_default_by_name(void **state)
{
    static const struct {
        const char *arguments, *want;
    } cases[] = {
        { "4, '1 s', '2 s', p_dlq_enabled => false, p_completed_retention => '3 s',"
          " p_failed_retention => '4 s', p_dlq_retention => '5 s'",
          "4|00:00:01|00:00:02|false|00:00:03|00:00:04|00:00:05" },
        { "p_defaults => '{}'", "4|00:00:01|00:00:02|false|00:00:03|00:00:04|00:00:05" },
        { "p_defaults => '{deadline}'", "4|-|00:00:02|false|00:00:03|00:00:04|00:00:05" },
        { "p_defaults => '{aging_interval}'", "4|-|-|false|00:00:03|00:00:04|00:00:05" },
        { "p_defaults => '{dlq_enabled}', p_deadline => '7 s'",
          "4|00:00:07|-|-|00:00:03|00:00:04|00:00:05" },
        { "p_defaults => '{completed_retention,failed_retention}'", "4|00:00:07|-|-|-|-|00:00:05" },
        { "p_defaults => '{dlq_retention,enqueue_shards}'", "1|00:00:07|-|-|-|-|-" },
        { "5, p_failed_retention => '6 s'", "5|00:00:07|-|-|-|00:00:06|-" },
        { "p_reset => true", "5|-|-|-|-|-|-" },
    };
    PGconn *db = *state;
    PGconn *operator= test_connect(db, "operator");

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        test_exec(operator, test_format("SELECT awa.set_queue('q', %s)", cases[i].arguments));
        if (strcmp(own_settings(db), cases[i].want) != 0)
            fail_msg("%s: %s", cases[i].arguments, own_settings(db));
    }
    test_expect_error(operator, "JQ001", "SELECT awa.set_queue('q', p_defaults => '{deadlines}')");
    assert_string_equal(own_settings(db), "5|-|-|-|-|-|-");
}

static void
a_pause_remembers_who_began_it_and_when(void **state)
{
    PGconn *db = *state;
    PGconn *operator= test_connect(db, "operator");
    const char *since;

    test_exec(operator, "SELECT awa.pause_queue('q')");
    since = test_text(db, "SELECT paused_at FROM awa.queues");
    assert_string_equal(test_text(db, "SELECT paused_by FROM awa.queues"), "test_operator");
    test_exec(operator, "SELECT awa.pause_queue('q', 'me')");
    assert_string_equal(test_rows(db, "SELECT paused_by, paused_at FROM awa.queues"),
                        test_format("me|%s", since));
    test_exec(operator, "SELECT awa.resume_queue('q')");
    test_exec(operator, "SELECT awa.resume_queue('r')");
    assert_string_equal(test_rows(db, "SELECT queue, paused_by, paused_at FROM awa.queues"),
                        "q|| r||");
}

static void
a_drain_cancels_what_waits_and_nothing_else(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *operator= test_connect(db, "operator");
    PGconn *late = test_connect(db, "producer");
    struct attempt a;

    test_lane(db, 2);
    test_exec(late, "BEGIN");
    test_insert(late);
    test_insert(db);
    a = test_claim_one(worker, 7);
    test_exec(late, "COMMIT"); /* job 1 waits in a gap */
    test_exec(db, "SELECT awa.insert_jobs('{a,b,c,d,e}', p_priorities => '{1,2,3,2,2}', p_queues =>"
                  " '{NULL,NULL,NULL,other,NULL}', p_delays => '{NULL,NULL,NULL,NULL,1 h}')");
    assert_int_equal(test_int(operator, "SELECT awa.drain_queue('default', 2)"), 2);
    assert_int_equal(test_int(operator, "SELECT awa.drain_queue('default')"), 3);
    assert_int_equal(test_int(operator, "SELECT awa.drain_queue('default')"), 0);
    assert_string_equal(test_rows(db, "SELECT id, state FROM awa.jobs WHERE state <> 'cancelled'"
                                      " ORDER BY id"),
                        test_format("%" PRId64 "|running 6|available", a.id));
    assert_string_equal(test_rows(db, "SELECT DISTINCT errors -> 0 ->> 'error' FROM awa.jobs WHERE"
                                      " state = 'cancelled'"),
                        "the queue was drained");
    assert_string_equal(test_claim_ids(worker, 7, 10), "");
}

/* ---- Waking ------------------------------------------------------------------------------ */

/* The channels on which something came since the last call. */
static const char *
heard(PGconn *conn)
{
    const char *all = "";

    PQclear(PQexec(conn, "SELECT 1")); /* whatever was committed before is on its way now */
    for (PGnotify *n; (n = PQnotifies(conn)) != NULL; PQfreemem(n))
        all = test_format("%s[%s:%s]", all, n->relname, n->extra);
    return all;
}

static void
a_producer_wakes_a_queue_that_is_hungry_and_no_other(void **state)
{
    static const char *const doors[] = {
        "SELECT awa.insert_job('k', p_queue => '%s')",
        "SELECT awa.insert_jobs('{k,k}', p_queues => '{%s,%s}')",
        "SELECT awa.reserve_positions('{%s}', '{NULL}', '{NULL}', '{1}')",
    };
    PGconn *db = *state;
    PGconn *worker = test_connect(db, "worker"), *bulk = test_connect(db, "bulk");

    test_exec(worker, "SELECT awa.register_worker(7, 'w', '{hungry,sated}')");
    test_exec(worker, "SELECT awa.listen('{hungry,sated}')");
    test_exec(worker, "SELECT awa.mark_hungry('{hungry}')");
    for (size_t i = 0; i < 3; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        test_exec(bulk, test_format(doors[i], "sated", "sated"));
        assert_string_equal(heard(worker), "");
        test_exec(bulk, test_format(doors[i], "hungry", "hungry"));
        assert_string_equal(heard(worker), "[awa:hungry:]");
        test_exec(bulk, test_format(doors[i], "nobody", "nobody"));
        assert_string_equal(heard(worker), "");
        test_exec(bulk, "BEGIN");
        test_exec(bulk, test_format(doors[i], "hungry", "hungry"));
        test_exec(bulk, "ROLLBACK");
        assert_string_equal(heard(worker), "");
#pragma GCC diagnostic pop
    }
}

static void
a_mark_ends_by_itself(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);

    test_exec(worker, "SELECT awa.listen('{default}')");
    test_exec(worker, "SELECT awa.mark_hungry('{default}', clock_timestamp() - interval '1 s')");
    test_insert(db);
    assert_string_equal(heard(worker), "");
    test_exec(worker, "SELECT awa.mark_hungry('{default}', clock_timestamp() + interval '1 min')");
    test_insert(db);
    assert_string_equal(heard(worker), "[awa:default:]");
    /* a later mark is not cut short by an earlier one */
    test_exec(worker, "SELECT awa.mark_hungry('{default}')");
    assert_string_equal(test_text(db, "SELECT pg_sequence_last_value(awa.hungry('default')) >"
                                      " awa.to_ms(clock_timestamp() + interval '50 s')"),
                        "t");
}

/* PREPARE TRANSACTION refuses a transaction that notifies, which one does while somebody waits. */
static void
a_transaction_that_notifies_nobody_may_be_prepared(void **state)
{
    static const char *const inserts[] = {
        "SELECT awa.insert_job('k')",
        "SELECT awa.insert_jobs('{k,k}')",
        "SELECT awa.insert_job('k', p_delay => '500 ms')",
    };
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *producer = test_connect(db, "producer");

    test_exec(worker, "SELECT awa.listen('{default}'); LISTEN \"awa.lead\"");
    test_exec(worker, "SELECT awa.mark_hungry('{default}', clock_timestamp() + interval '1 h')");
    test_exec(worker, "SELECT awa.lead(7)"); /* and sleeps */
    for (size_t i = 0; i < sizeof inserts / sizeof inserts[0]; i++) {
        test_exec(producer, "BEGIN");
        test_exec(producer, inserts[i]);
        test_expect_error(producer, "0A000", "PREPARE TRANSACTION 'test_loud'");
        test_exec(producer, "BEGIN; SET LOCAL awa.notify = off");
        test_exec(producer, inserts[i]);
        test_exec(producer, test_format("PREPARE TRANSACTION '%s'", PQdb(db)));
        test_exec(producer, test_format("COMMIT PREPARED '%s'", PQdb(db)));
        assert_string_equal(heard(worker), "");
    }
    assert_string_equal(test_text(db, "SELECT available FROM awa.queue_counts('default')"), "3");
    assert_int_equal(test_int(worker, "SELECT count(*) FROM awa.claim_jobs(7, 'default', 10)"), 3);
    test_insert(producer); /* it was that transaction alone */
    assert_string_equal(heard(worker), "[awa:default:]");
}

/* Not transactional: a producer whose snapshot is old sees the mark. */
static void
a_producer_on_an_old_snapshot_sees_the_mark(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *producer = test_connect(db, "producer");

    test_exec(worker, "SELECT awa.listen('{default}')");
    test_exec(producer, "BEGIN ISOLATION LEVEL REPEATABLE READ");
    test_exec(producer, "SELECT pg_current_xact_id()");
    test_exec(worker, "SELECT awa.mark_hungry('{default}')");
    test_insert(producer);
    test_exec(producer, "COMMIT");
    assert_string_equal(heard(worker), "[awa:default:]");
}

static void
whatever_makes_a_job_runnable_wakes_its_queue(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *operator= test_connect(db, "operator");
    PGconn *listener = test_connect(db, "worker");
    struct attempt a[5];

    test_exec(db, "SELECT awa.insert_jobs('{a,b,c,d,e}')");
    test_exec(db, "SELECT awa.insert_job('k', p_delay => '1 h')");
    assert_int_equal(test_claim(worker, 7, 5, a), 5);
    test_exec(listener, "SELECT awa.listen('{default}')");
    test_exec(worker, "SELECT awa.mark_hungry('{default}', clock_timestamp() + interval '1 h')");

    test_close(worker, &a[0], "released");
    assert_string_equal(heard(listener), "[awa:default:]");
    test_close(worker, &a[1], "expired");
    assert_string_equal(heard(listener), "");
    test_close(worker, &a[2], "failed");
    assert_string_equal(heard(listener), "");
    test_exec(operator, test_format("SELECT awa.retry_job(%" PRId64 ")", a[2].id));
    assert_string_equal(heard(listener), "[awa:default:]");
    test_exec(worker, "SELECT awa.promote_jobs(p_now => clock_timestamp() + interval '2 h')");
    assert_string_equal(heard(listener), "[awa:default:]");
    test_exec(operator, "SELECT awa.pause_queue('default'), awa.resume_queue('default')");
    assert_string_equal(heard(listener), "[awa:default:]");
    test_exec(worker, "SELECT awa.deregister_worker(7)");
    test_exec(worker, "SELECT awa.rescue_jobs()");
    assert_string_equal(heard(listener), "[awa:default:]");
}

static void
the_worker_of_a_cancelled_job_is_told(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *operator= test_connect(db, "operator");

    test_exec(worker, "SELECT awa.listen('{default}')");
    test_insert(db);
    test_insert(db);
    test_exec(operator, "SELECT awa.cancel_job(1)");
    assert_string_equal(heard(worker), "");
    test_claim_one(worker, 7);
    test_exec(operator, "SELECT awa.cancel_job(2)");
    assert_string_equal(heard(worker), "[awa.cancel:7]");
}

static void
a_heartbeat_says_where_work_may_be(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_connect(db, "worker");
    static const char beat[] = "SELECT ready FROM awa.heartbeat('{7}', '{a,b}')";

    test_exec(worker, "SELECT awa.register_worker(7, 'w', '{a,b}')");
    assert_string_equal(test_text(worker, beat), "{}");
    test_exec(db, "SELECT awa.insert_job('k', p_queue => 'b')");
    assert_string_equal(test_text(worker, beat), "{b}");
    test_exec(worker, "SELECT awa.claim_jobs(7, 'b', 1)");
    assert_string_equal(test_text(worker, beat), "{}");
    assert_string_equal(test_text(db, "SELECT min(pg_sequence_last_value(awa.hungry(q))) >"
                                      " awa.to_ms(clock_timestamp()) FROM unnest('{a,b}'::text[])"
                                      " AS q"),
                        "t");
}

static void
a_queue_may_have_the_longest_name(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_connect(db, "worker"), *producer = test_connect(db, "producer");
    const char *names[] = { test_text(db, "SELECT repeat('q', 200)"),
                            test_text(db, "SELECT repeat('é', 100)"), "a b\"c'd\\e", "Q" };

    for (int i = 0; i < 4; i++) {
        const char *name = test_text(db, test_format("SELECT quote_literal($x$%s$x$)", names[i]));

        test_exec(worker,
                  test_format("SELECT awa.register_worker(%d, 'w', ARRAY[%s])", 7 + i, name));
        test_exec(worker, test_format("SELECT awa.listen(ARRAY[%s])", name));
        test_exec(worker, test_format("SELECT awa.mark_hungry(ARRAY[%s])", name));
        test_exec(producer, test_format("SELECT awa.insert_job('k', p_queue => %s)", name));
        if (strlen(heard(worker)) < 8)
            fail_msg("%s: not woken", names[i]);
        assert_int_equal(test_int(worker, test_format("SELECT count(*) FROM awa.claim_jobs(%d, %s,"
                                                      " 1)",
                                                      7 + i, name)),
                         1);
    }
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_DB(the_longest_times_stop_nothing),
        TEST_DB(a_queue_has_settings_of_its_own),
        TEST_DB(each_setting_of_a_queue_goes_back_to_its_default_by_name),
        TEST_DB(a_pause_remembers_who_began_it_and_when),
        TEST_DB(a_drain_cancels_what_waits_and_nothing_else),
        TEST_DB(a_producer_wakes_a_queue_that_is_hungry_and_no_other),
        TEST_DB(a_mark_ends_by_itself),
        TEST_DB(a_transaction_that_notifies_nobody_may_be_prepared),
        TEST_DB(a_producer_on_an_old_snapshot_sees_the_mark),
        TEST_DB(whatever_makes_a_job_runnable_wakes_its_queue),
        TEST_DB(the_worker_of_a_cancelled_job_is_told),
        TEST_DB(a_heartbeat_says_where_work_may_be),
        TEST_DB(a_queue_may_have_the_longest_name),
    };

    return TEST_RUN(tests);
}
