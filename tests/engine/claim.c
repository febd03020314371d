/* SPDX-License-Identifier: MIT */
/* awa.claim_jobs(): what is handed out, in which order, and to whom. */
#include "test_jobs.h"

#include <inttypes.h>
#include <string.h>

static int64_t
insert(PGconn *conn, const char *options)
{
    return test_int(
        conn, test_format("SELECT awa.insert_job('k'%s%s)", *options != '\0' ? ", " : "", options));
}

/* Claims one by one, with the clock moved on, and writes down each job's args. */
static const char *
claim_all(PGconn *worker, const char *later)
{
    const char *all = "";

    for (;;) {
        const char *next = test_rows(
            worker, test_format("SELECT args #>> '{}' FROM awa.claim_jobs(7, 'default', 1,"
                                " clock_timestamp() + interval '%s')",
                                later));
        if (*next == '\0')
            return all;
        all = test_format("%s%s", all, next);
    }
}

static void
a_claim_tells_all_about_a_job(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);

    insert(test_connect(db, "producer"),
           "'{\"a\": 1}', p_max_attempts => 3, p_tags => '{x,y}', p_metadata => '{\"m\": 2}'");
    assert_string_equal(
        test_rows(worker,
                  "SELECT pos - (1::bigint << 44), id, claim_id, ready_slot, attempt, max_attempts,"
                  " kind, args, metadata, array_to_string(tags, ' '),"
                  " enqueued_at > clock_timestamp() - interval '1 min', deadline_at"
                  " FROM awa.claim_jobs(7, 'default', 10, '2100-01-01 00:00:00Z')"),
        "0|1|1|0|1|3|k|{\"a\": 1}|{\"m\": 2}|x y|t|2100-01-01 00:05:00+00");
    assert_string_equal(test_rows(db, "SELECT state, attempt, worker_id, run_lease, deadline_at,"
                                      " attempted_at FROM awa.jobs"),
                        "running|1|7|1|2100-01-01 00:05:00+00|2100-01-01 00:00:00+00");
}

static void
a_claim_takes_as_many_as_it_may(void **state)
{
    PGconn *worker = test_worker(*state, 7);

    test_exec(*state, "SELECT awa.insert_jobs(array_fill('k'::text, '{10}'))");
    assert_string_equal(test_claim_ids(worker, 7, 3), "1 2 3");
    assert_string_equal(test_claim_ids(worker, 7, 1), "4");
    assert_string_equal(test_claim_ids(worker, 7, 10000), "5 6 7 8 9 10");
    assert_string_equal(test_claim_ids(worker, 7, 10), "");
}

static void
a_claim_wants_a_number_from_1_to_10000(void **state)
{
    static const char *const numbers[] = { "0", "-1", "10001", "NULL" };
    PGconn *worker = test_worker(*state, 7);

    for (size_t i = 0; i < 4; i++)
        assert_memory_equal(
            test_error(worker, test_format("SELECT awa.claim_jobs(7, 'default', %s)", numbers[i])),
            "JQ001 max: want 1 to 10000, got", 30);
}

/* Jobs with arguments of about 100,000 bytes as they are stored, which no compression makes less.
 */
static void
insert_large(PGconn *conn, int n)
{
    test_exec(conn, test_format("SELECT awa.insert_jobs(array_fill('k'::text, '{%d}'), p_args =>"
                                " (SELECT array_agg(a.args) FROM generate_series(1, %d) AS j CROSS"
                                " JOIN LATERAL (SELECT to_json(string_agg(md5(random()::text), ''))"
                                "::text AS args FROM generate_series(1, 3100) WHERE j > 0) AS a))",
                                n, n));
}

static const char *
claim_bytes(PGconn *worker, int max, const char *bytes, int later)
{
    return test_text(worker,
                     test_format("SELECT coalesce(string_agg(id::text, ' '), '') FROM"
                                 " awa.claim_jobs(7, 'default', %d, clock_timestamp() + %d *"
                                 " interval '20 ms', %s)",
                                 max, later, bytes));
}

static void
a_claim_takes_as_many_bytes_as_it_may(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *operator= test_connect(db, "operator");

    insert_large(db, 12);
    assert_string_equal(claim_bytes(worker, 10, "250000", 0), "1 2");
    assert_string_equal(claim_bytes(worker, 10, "1", 0), "3"); /* one in any case */
    assert_string_equal(claim_bytes(worker, 2, "1000000000", 0), "4 5");
    test_exec(operator, "SELECT awa.cancel_job(7)");
    assert_string_equal(claim_bytes(worker, 10, "350000", 0), "6 8"); /* it may be less */
    for (int64_t rest = 4, n; rest > 0; rest -= n) {
        n = test_int(worker, "SELECT CASE WHEN sum(pg_column_size(args)) <= 350000 THEN count(*)"
                             " ELSE 0 END FROM awa.claim_jobs(7, 'default', 10, p_max_bytes =>"
                             " 350000)");
        assert_in_range(n, 1, 3);
    }
    for (int i = 0; i < 400; i++)
        insert(db, "");
    assert_int_equal(test_int(worker, "SELECT count(*) FROM awa.claim_jobs(7, 'default', 1000)"),
                     400);
    assert_string_equal(test_error(worker, "SELECT awa.claim_jobs(7, 'default', 1, p_max_bytes"
                                           " => 0)"),
                        "JQ001 max_bytes: want 1 or more, got 0");
    test_expect_error(worker, "JQ001",
                      "SELECT awa.claim_jobs(7, 'default', 1, p_max_bytes => NULL)");
}

/* Also of jobs that come late, and of those behind them. */
static void
late_jobs_are_not_more_bytes_than_a_claim_may_take(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *late = test_connect(db, "producer");

    test_lane(db, 2);
    test_exec(late, "BEGIN");
    insert_large(late, 3);
    insert(db, "");
    assert_string_equal(claim_bytes(worker, 10, "250000", 1), "4");
    insert_large(db, 3);
    test_exec(late, "COMMIT");
    assert_string_equal(claim_bytes(worker, 10, "250000", 2), "1 2");
    assert_string_equal(claim_bytes(worker, 10, "250000", 3), "3 5");
    assert_string_equal(claim_bytes(worker, 10, "250000", 4), "6 7");
}

static void
a_claim_refuses_an_old_snapshot(void **state)
{
    static const char *const levels[] = { "REPEATABLE READ", "SERIALIZABLE" };
    PGconn *worker = test_worker(*state, 7);

    for (size_t i = 0; i < 2; i++) {
        test_exec(worker, test_format("BEGIN ISOLATION LEVEL %s", levels[i]));
        test_expect_error(worker, "JQ001", "SELECT awa.claim_jobs(7, 'default', 1)");
        test_exec(worker, "ROLLBACK");
    }
}

static void
only_a_registered_worker_claims(void **state)
{
    PGconn *worker = test_worker(*state, 7);

    test_insert(*state);
    test_expect_error(worker, "JQ003", "SELECT awa.claim_jobs(8, 'default', 1)");
    test_exec(worker, "SELECT awa.deregister_worker(7)");
    test_expect_error(worker, "JQ003", "SELECT awa.claim_jobs(7, 'default', 1)");
}

static void
a_queue_is_claimed_by_itself(void **state)
{
    PGconn *worker = test_worker(*state, 7);

    insert(*state, "'1', 'mail'");
    insert(*state, "'2'");
    assert_string_equal(test_claim_ids(worker, 7, 10), "2");
    assert_int_equal(test_int(worker, "SELECT id FROM awa.claim_jobs(7, 'mail', 10)"), 1);
    assert_string_equal(test_rows(worker, "SELECT id FROM awa.claim_jobs(7, 'nowhere', 10)"), "");
}

static void
a_paused_queue_hands_out_nothing_and_runs_on(void **state)
{
    PGconn *worker = test_worker(*state, 7), *operator= test_connect(*state, "operator");
    struct attempt a;

    insert(*state, "");
    insert(*state, "");
    assert_int_equal(test_claim(worker, 7, 1, &a), 1);
    test_exec(operator, "SELECT awa.pause_queue('default', 'me')");
    assert_string_equal(test_claim_ids(worker, 7, 10), "");
    assert_string_equal(test_close(worker, &a, "completed"), "completed");
    test_exec(operator, "SELECT awa.resume_queue('default')");
    assert_string_equal(test_claim_ids(worker, 7, 10), "2");
}

static void
a_deadline_comes_from_the_queue_or_from_the_settings(void **state)
{
    static const char deadline[] = "SELECT deadline_at - timestamptz '2100-01-01 00:00:00Z' FROM"
                                   " awa.claim_jobs(7, 'default', 1, '2100-01-01 00:00:00Z')";
    static const struct {
        const char *change, *want;
    } cases[] = {
        { "SELECT 1", "00:05:00" },
        { "UPDATE awa.settings SET deadline = '7 s'", "00:00:07" },
        { "SELECT awa.set_queue('default', p_deadline => '3 s')", "00:00:03" },
        { "SELECT awa.set_queue('default', p_deadline => '0 s')", "" },
        { "SELECT awa.set_queue('default', p_reset => true)", "00:00:07" },
        { "UPDATE awa.settings SET deadline = '0 s'", "" },
    };
    PGconn *worker = test_worker(*state, 7);

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        insert(*state, "");
        test_exec(*state, cases[i].change);
        assert_string_equal(test_rows(worker, deadline), cases[i].want);
    }
}

/* ---- Which lane -------------------------------------------------------------------------- */

static void
the_most_urgent_goes_first(void **state)
{
    PGconn *worker = test_worker(*state, 7);

    test_exec(*state, "SELECT awa.insert_job('k', to_jsonb(p), p_priority => p)"
                      " FROM unnest('{4,2,3,1,3,2,4,1}'::int[]) AS p");
    assert_string_equal(claim_all(worker, "0 s"), "11223344");
}

static void
all_jobs_of_a_claim_come_from_one_lane(void **state)
{
    PGconn *worker = test_worker(*state, 7);

    test_exec(*state, "SELECT awa.insert_jobs('{a,b,c,d}', p_priorities => '{1,2,1,2}')");
    assert_string_equal(test_claim_ids(worker, 7, 10), "1 3");
    assert_string_equal(test_claim_ids(worker, 7, 10), "2 4");
}

static void
who_waits_becomes_more_urgent(void **state)
{
    /* One job of each priority, oldest first, and how many seconds later they are claimed. */
    static const struct {
        const char *order, *settings, *later, *want;
    } cases[] = {
        { "{4,3,2,1}", "60 s", "0 s", "1234" },   { "{4,3,2,1}", "60 s", "50 s", "1234" },
        { "{4,1}", "60 s", "170 s", "14" },       { "{4,1}", "60 s", "190 s", "41" },
        { "{4,3,2,1}", "60 s", "190 s", "4321" }, { "{1,2,3,4}", "60 s", "190 s", "1234" },
        { "{4,3}", "60 s", "70 s", "34" },        { "{4,3,2,1}", "10 s", "35 s", "4321" },
        { "{4,3,2,1}", "0 s", "1000 s", "1234" },
    };
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *got;

        test_exec(db,
                  test_format("UPDATE awa.settings SET aging_interval = '%s'", cases[i].settings));
        test_exec(db, test_format("SELECT awa.insert_job('k', to_jsonb(p), p_priority => p)"
                                  " FROM unnest('%s'::int[]) AS p",
                                  cases[i].order));
        got = claim_all(worker, cases[i].later);
        if (strcmp(got, cases[i].want) != 0)
            fail_msg("%s after %s: want %s, got %s", cases[i].order, cases[i].later, cases[i].want,
                     got);
    }
    test_exec(db, "SELECT awa.set_queue('default', p_aging_interval => '1 s')");
    test_exec(db, "SELECT awa.insert_job('k', to_jsonb(p), p_priority => p)"
                  " FROM unnest('{4,1}'::int[]) AS p");
    assert_string_equal(claim_all(worker, "5 s"), "41");
}

static void
only_the_oldest_job_of_a_lane_makes_it_urgent(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);

    insert(db, "'\"a\"', p_priority => 4");
    insert(db, "'\"b\"', p_priority => 1");
    insert(db, "'\"c\"', p_priority => 4");
    assert_string_equal(test_rows(worker,
                                  "SELECT args #>> '{}' FROM awa.claim_jobs(7, 'default', 1,"
                                  " clock_timestamp() + interval '1 h')"),
                        "a");
    test_exec(db, "UPDATE awa.ready_entries SET enqueued_at = enqueued_at + interval '1 h'"
                  " WHERE id = 3");
    assert_string_equal(claim_all(worker, "1 h"), "bc");
}

/* A long transaction commits a wide gap in the lane of the least urgent. */
static void
late_jobs_of_a_wide_gap_wait_for_urgent_ones(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *producer = test_connect(db, "producer");
    const char *got;

    test_lane(db, 4);
    test_exec(producer, "BEGIN");
    test_exec(producer, "SELECT awa.insert_jobs(array_fill('k'::text, '{1500}'), array_fill("
                        "'\"late\"'::text, '{1500}'), p_priorities => array_fill(4, '{1500}'))");
    insert(db, "'\"passed\"', p_priority => 4");
    assert_string_equal(claim_all(worker, "0 s"), "passed");
    test_exec(producer, "COMMIT");
    insert(db, "'\"urgent\"', p_priority => 2");
    got = test_rows(worker, "SELECT args #>> '{}' FROM awa.claim_jobs(7, 'default', 1,"
                            " clock_timestamp() + interval '3 s')");
    assert_string_equal(got, "urgent");
}

/* ---- Which entries ----------------------------------------------------------------------- */

static void
a_claim_may_span_slots(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);

    for (int i = 0; i < 3; i++) {
        test_exec(db, "SELECT awa.insert_jobs('{a,b}')");
        test_exec(worker, "SELECT awa.checkpoint_heads(15::smallint)");
        test_exec(db, "SELECT awa.rotate_ring(true)");
    }
    assert_string_equal(test_rows(worker, "SELECT id, ready_slot, claim_id"
                                          " FROM awa.claim_jobs(7, 'default', 5)"),
                        "1|0|1 2|0|1 3|1|1 4|1|1 5|2|1");
    assert_string_equal(test_rows(db, "SELECT ready_slot, n, cursor - (1::bigint << 44)"
                                      " FROM awa.claims ORDER BY 1"),
                        "0|2|4 1|2|4 2|1|4");
    assert_string_equal(test_claim_ids(worker, 7, 5), "6");
}

static void
withdrawn_entries_are_passed_over_and_leave_no_gap(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *operator= test_connect(db, "operator");

    test_exec(db, "SELECT awa.insert_jobs(array_fill('k'::text, '{10}'))");
    test_exec(operator, "SELECT awa.cancel_job(i) FROM unnest('{1,4,5,10}'::bigint[]) AS i");
    assert_string_equal(test_claim_ids(worker, 7, 7), "2 3 6 7");
    assert_string_equal(test_claim_ids(worker, 7, 100), "8 9");
    assert_string_equal(test_claim_ids(worker, 7, 100), "");
    assert_string_equal(test_rows(db, "SELECT DISTINCT gaps IS NULL FROM awa.claims"), "t");
    /* a deferred job that is cancelled ends at a position of its own */
    insert(db, "p_delay => '1 h'");
    test_exec(operator, "SELECT awa.cancel_job(11)");
    insert(db, "");
    assert_string_equal(test_claim_ids(worker, 7, 100), "12");
}

/* As after awa.drain_queue(): a claim that came back empty would make its worker go to sleep. */
static void
a_claim_passes_over_any_number_of_withdrawn_entries(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *operator= test_connect(db, "operator");

    test_exec(db, "SELECT awa.insert_jobs(array_fill('k'::text, '{500}'))");
    assert_int_equal(test_int(operator, "SELECT awa.drain_queue('default')"), 500);
    test_exec(db, "SELECT awa.insert_jobs('{a,b,c}')");
    assert_string_equal(test_claim_ids(worker, 7, 2), "501 502");
    assert_string_equal(test_claim_ids(worker, 7, 2), "503");
    assert_string_equal(test_claim_ids(worker, 7, 2), "");
}

/* What a claim leaves, having looked far for something that is not withdrawn, is no gap: gaps are
 * looked into only now and then, so younger jobs would overtake. */
static void
jobs_behind_withdrawn_ones_keep_their_order(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *operator= test_connect(db, "operator");
    static const char *const claims[] = { "3", "5", "6 7", "8 9" };

    test_exec(db, "SELECT awa.insert_jobs(array_fill('k'::text, '{8}'))");
    test_exec(operator, "SELECT awa.cancel_job(i) FROM unnest('{1,2,4}'::bigint[]) AS i");
    for (int i = 0; i < 4; i++) {
        assert_string_equal(
            test_text(worker, test_format("SELECT string_agg(id::text, ' ') FROM"
                                          " awa.claim_jobs(7, 'default', %d, '2100-01-01')",
                                          i == 0 ? 1 : 2)),
            claims[i]);
        if (i == 0)
            insert(db, "");
    }
}

/* Of two slots in turn, as after a carry, and with withdrawn ones between them. */
static void
the_jobs_of_a_claim_come_in_the_order_of_their_positions(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *operator= test_connect(db, "operator");
    const char *rest;

    test_exec(db, "SELECT awa.insert_jobs(array_fill('k'::text, '{1000}'))");
    test_exec(db, "UPDATE awa.ready_entries SET ready_slot = 1 WHERE id % 10 < 5");
    test_exec(operator, "SELECT awa.cancel_job(i) FROM generate_series(1, 1000, 3) AS i");
    test_exec(db, "ANALYZE");
    rest = test_text(db, "SELECT string_agg(i::text, ' ') FROM generate_series(1, 1000) AS i"
                         " WHERE i % 3 <> 1");
    assert_string_equal(test_claim_ids(worker, 7, 1000), rest);
    assert_string_equal(test_rows(db, "SELECT ready_slot, n, awa.width(positions)"
                                      " FROM awa.claims ORDER BY 1"),
                        "0|334|334 1|332|332");
}

static void
a_rolled_back_position_is_forgotten_in_the_end(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *producer = test_connect(db, "producer");
    static const char gaps[] = "SELECT awa.all_gaps(h.gaps) FROM awa.lane_head(1) AS h";

    test_lane(db, 2);
    test_exec(producer, "BEGIN");
    insert(producer, "");
    test_exec(producer, "ROLLBACK");
    insert(db, "");
    assert_string_equal(test_claim_ids(worker, 7, 10), "2");
    assert_string_equal(test_text(db, gaps), "{[17592186044416,17592186044417)}");
    /* nobody who drew from the lane's sequence is open */
    assert_string_equal(test_claim_ids(worker, 7, 10), "");
    assert_string_equal(test_text(db, gaps), "{}");
    assert_string_equal(test_text(db, "SELECT awa.queue_has_work('default')"), "f");
}

/* Two jobs, claimed in so many ms: gaps are searched every 10 ms. */
static const char *
claim_two_in(PGconn *worker, int ms)
{
    return test_text(worker, test_format("SELECT string_agg(id::text, ' ') FROM awa.claim_jobs(7,"
                                         " 'default', 2, clock_timestamp() + %d * interval '1 ms')",
                                         ms));
}

static void
late_entries_come_first(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *producer = test_connect(db, "producer");

    test_lane(db, 2);
    test_exec(producer, "BEGIN");
    test_exec(producer, "SELECT awa.insert_jobs('{a,b,c}')");
    test_exec(db, "SELECT awa.insert_jobs('{d,e}')");
    assert_string_equal(test_claim_ids(worker, 7, 1), "4");
    test_exec(producer, "COMMIT");
    assert_string_equal(claim_two_in(worker, 20), "1 2");
    assert_string_equal(claim_two_in(worker, 40), "3 5");
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_DB(a_claim_tells_all_about_a_job),
        TEST_DB(a_claim_takes_as_many_as_it_may),
        TEST_DB(a_claim_wants_a_number_from_1_to_10000),
        TEST_DB(a_claim_takes_as_many_bytes_as_it_may),
        TEST_DB(late_jobs_are_not_more_bytes_than_a_claim_may_take),
        TEST_DB(a_claim_refuses_an_old_snapshot),
        TEST_DB(only_a_registered_worker_claims),
        TEST_DB(a_queue_is_claimed_by_itself),
        TEST_DB(a_paused_queue_hands_out_nothing_and_runs_on),
        TEST_DB(a_deadline_comes_from_the_queue_or_from_the_settings),
        TEST_DB(the_most_urgent_goes_first),
        TEST_DB(all_jobs_of_a_claim_come_from_one_lane),
        TEST_DB(who_waits_becomes_more_urgent),
        TEST_DB(only_the_oldest_job_of_a_lane_makes_it_urgent),
        TEST_DB(late_jobs_of_a_wide_gap_wait_for_urgent_ones),
        TEST_DB(a_claim_may_span_slots),
        TEST_DB(withdrawn_entries_are_passed_over_and_leave_no_gap),
        TEST_DB(a_claim_passes_over_any_number_of_withdrawn_entries),
        TEST_DB(jobs_behind_withdrawn_ones_keep_their_order),
        TEST_DB(the_jobs_of_a_claim_come_in_the_order_of_their_positions),
        TEST_DB(a_rolled_back_position_is_forgotten_in_the_end),
        TEST_DB(late_entries_come_first),
    };

    return TEST_RUN(tests);
}
