/* SPDX-License-Identifier: MIT */
/* Claimers and producers beside each other: who waits for whom, and who gets what. */
#include "test_jobs.h"

#include <inttypes.h>
#include <string.h>

#include "cli/spawn.h"

#define CLAIM(worker, max) "SELECT id FROM awa.claim_jobs(" #worker ", 'default', " #max ")"

static void
two_claimers_of_a_lane_share_its_jobs(void **state)
{
    PGconn *db = *state;
    PGconn *first = test_worker(db, 7), *second = test_worker(db, 8);

    test_exec(db, "SELECT awa.insert_jobs('{a,b,c,d}')");
    test_exec(first, "BEGIN");
    assert_string_equal(test_claim_ids(first, 7, 2), "1 2");
    test_send(second, CLAIM(8, 10));
    test_wait_blocked(db, second);
    test_exec(first, "COMMIT");
    assert_string_equal(test_answer(second), "3 4");
}

static void
a_claim_that_rolls_back_never_was(void **state)
{
    PGconn *db = *state;
    PGconn *first = test_worker(db, 7), *second = test_worker(db, 8);

    test_exec(db, "SELECT awa.insert_jobs('{a,b,c,d}')");
    test_exec(first, "BEGIN");
    assert_string_equal(test_claim_ids(first, 7, 2), "1 2");
    test_send(second, CLAIM(8, 10));
    test_wait_blocked(db, second);
    test_exec(first, "ROLLBACK");
    assert_string_equal(test_answer(second), "1 2 3 4");
}

/* Two that claim in long transactions, from several lanes, would else wait in a circle. */
static void
a_claim_does_not_wait_for_a_long_transaction(void **state)
{
    PGconn *db = *state;
    PGconn *first = test_worker(db, 7), *second = test_worker(db, 8);

    test_exec(db, "SELECT awa.insert_jobs('{a,b,c,d}')");
    test_exec(first, "BEGIN");
    assert_string_equal(test_claim_ids(first, 7, 2), "1 2");
    test_exec(second, "SET statement_timeout = '5 s'"); /* half a second on a quiet machine */
    assert_string_equal(test_claim_ids(second, 8, 10), "");
    test_exec(first, "COMMIT");
    assert_string_equal(test_claim_ids(second, 8, 10), "3 4");
}

static void
a_busy_lane_is_left_for_another(void **state)
{
    PGconn *db = *state;
    PGconn *first = test_worker(db, 7), *second = test_worker(db, 8);

    test_exec(db, "SELECT awa.insert_jobs('{a,b,c,d}', p_priorities => '{1,1,2,2}')");
    test_exec(first, "BEGIN");
    assert_string_equal(test_claim_ids(first, 7, 1), "1");
    assert_string_equal(test_claim_ids(second, 8, 10), "3 4");
    test_exec(first, "COMMIT");
    assert_string_equal(test_claim_ids(second, 8, 10), "2");
}

/*
 * Two lanes with nothing to hand out but a gap to write down. Each claimer has one of them when it
 * finds the other one busy.
 */
static void
two_claimers_of_two_lanes_do_not_wait_in_a_circle(void **state)
{
    PGconn *db = *state;
    PGconn *first, *second;
    PGconn *late = test_connect(db, "producer"), *blocker = test_connect(db, NULL);

    /* else a circle would end by itself, after half a second */
    test_exec(db, test_format("ALTER DATABASE %s SET deadlock_timeout = '10ms'", PQdb(db)));
    first = test_worker(db, 7);
    second = test_worker(db, 8);
    test_lane(db, 1);
    test_lane(db, 2);
    test_exec(late, "BEGIN");
    test_exec(late, "SELECT awa.insert_jobs('{a,b}', p_priorities => '{1,2}')");
    test_exec(db, "SELECT awa.insert_jobs('{c,d}', p_priorities => '{1,2}')");
    for (int i = 0; i < 2; i++) /* the gaps are old and wait for late */
        test_claim_ids(first, 7, 10);
    test_exec(late, "ROLLBACK");
    test_wait_settled(db);

    test_exec(blocker, "BEGIN; LOCK TABLE awa.claims IN SHARE MODE");
    test_send(first, CLAIM(7, 10));
    test_wait_blocked(db, first);
    test_send(second, CLAIM(8, 10));
    test_wait_blocked(db, second);
    test_exec(blocker, "COMMIT");
    test_answer(first);
    test_answer(second);
}

static void
an_open_producer_delays_nobody(void **state)
{
    PGconn *db = *state;
    PGconn *late = test_connect(db, "producer"), *producer = test_connect(db, "producer");
    PGconn *bulk = test_connect(db, "bulk"), *worker = test_worker(db, 7);
    awa_error err;

    test_lane(db, 2);
    test_exec(late, "BEGIN");
    test_insert(late);
    test_exec(late, "SELECT awa.insert_jobs('{a,b}')");
    test_exec(late, "SELECT awa.insert_job('k', p_unique_key => 'u', p_delay => '1 h')");
    test_exec(producer, "SET statement_timeout = '5 s'");
    test_exec(bulk, "SET statement_timeout = '5 s'");
    test_exec(worker, "SET statement_timeout = '5 s'");
    test_insert(producer);
    test_exec(producer, "SELECT awa.insert_jobs('{a,b}', p_unique_keys => '{v,w}')");
    test_ok(awa_jobs_copy(bulk, AWA_JOB(.kind = "k"), 1, NULL, &err), &err);
    assert_string_equal(test_claim_ids(worker, 7, 10), "5 6 7 8");
    test_exec(late, "COMMIT");
    assert_string_equal(test_claim_ids(worker, 7, 10), "1 2 3");
}

static void
two_first_users_of_a_lane_do_not_wait_for_each_other_to_commit(void **state)
{
    PGconn *db = *state;
    PGconn *first = test_connect(db, "producer"), *second = test_connect(db, "producer");
    PGconn *worker = test_worker(db, 7);

    test_exec(first, "BEGIN");
    test_insert(first);
    test_exec(second, "SET statement_timeout = '5 s'"); /* it takes 200 ms on a quiet machine */
    test_insert(second);
    assert_string_equal(test_claim_ids(worker, 7, 10), "2");
    test_exec(first, "COMMIT");
    assert_string_equal(test_claim_ids(worker, 7, 10), "1");
    /* from now on all use the same one */
    test_exec(second, "SELECT awa.insert_job('k') FROM generate_series(1, 5)");
    assert_string_equal(test_claim_ids(worker, 7, 10), "3 4 5 6 7");
}

static void
two_first_users_that_commit_at_once_share_a_lane(void **state)
{
    PGconn *db = *state;
    PGconn *users[4];

    for (int i = 0; i < 4; i++)
        users[i] = test_connect(db, "producer");
    for (int i = 0; i < 4; i++)
        test_send(users[i], "SELECT awa.insert_job('k')");
    for (int i = 0; i < 4; i++)
        test_answer(users[i]);
    assert_int_equal(test_int(db, "SELECT count(*) FROM awa.lanes"), 1);
}

static void
a_unique_key_waits_only_for_its_own_holder(void **state)
{
    static const struct {
        const char *end, *want;
    } cases[] = { { "COMMIT", "" }, { "ROLLBACK", "t" } };
    PGconn *db = *state;
    PGconn *first = test_connect(db, "producer"), *second = test_connect(db, "producer");

    test_lane(db, 2);
    for (size_t i = 0; i < 2; i++) {
        const char *insert =
            test_format("SELECT awa.insert_job('k', p_unique_key => 'u%zu') > 0", i);

        test_exec(first, "BEGIN");
        test_exec(first, insert);
        test_exec(second, test_format("SELECT awa.insert_job('k', p_unique_key => 'v%zu')", i));
        test_send(second, insert);
        test_wait_blocked(db, second);
        test_exec(first, cases[i].end);
        assert_string_equal(test_answer(second), cases[i].want);
    }
}

static void
batches_with_the_same_keys_do_not_wait_in_a_circle(void **state)
{
    PGconn *db = *state;
    PGconn *first = test_connect(db, "producer"), *second = test_connect(db, "producer");
    PGconn *third = test_connect(db, "producer");

    test_lane(db, 2);
    /* while somebody has the middle key, both others want the outer ones, from either end */
    test_exec(third, "BEGIN");
    test_exec(third, "SELECT awa.insert_job('k', p_unique_key => 'b')");
    test_send(first, "SELECT awa.insert_jobs('{k,k,k}', p_unique_keys => '{a,b,c}')");
    test_wait_blocked(db, first);
    test_send(second, "SELECT awa.insert_jobs('{k,k,k}', p_unique_keys => '{c,b,a}')");
    test_wait_blocked(db, second);
    test_exec(third, "ROLLBACK");
    test_answer(first);
    test_answer(second);
    assert_int_equal(test_count(db, "available"), 3);
}

/* Its lock is held by a cancel that has not committed. */
static void
a_job_is_claimed_or_cancelled_and_never_both(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *operator= test_connect(db, "operator");

    test_exec(db, "SELECT awa.insert_jobs('{a,b,c}')");
    test_exec(operator, "BEGIN");
    test_exec(operator, "SELECT awa.cancel_job(2)");
    test_send(worker, CLAIM(7, 2));
    test_wait_blocked(db, worker);
    test_exec(operator, "COMMIT");
    assert_string_equal(test_answer(worker), "1");
    assert_string_equal(test_state(db, 2), "cancelled");

    test_exec(worker, "BEGIN");
    assert_string_equal(test_claim_ids(worker, 7, 10), "3");
    test_send(operator, "SELECT awa.cancel_job(3)");
    test_wait_blocked(db, operator);
    test_exec(worker, "COMMIT");
    assert_string_equal(test_answer(operator), "t");
    assert_string_equal(test_state(db, 3), "cancelled");
    assert_string_equal(test_rows(worker,
                                  "SELECT h.lost = p.lost FROM (SELECT int8multirange(int8range("
                                  " 1::bigint << 44, (1::bigint << 44) + 1)) AS kept,"
                                  " int8multirange(int8range((1::bigint << 44) + 2,"
                                  " (1::bigint << 44) + 3)) AS lost) AS p CROSS JOIN LATERAL"
                                  " awa.heartbeat('{7}', '{}', '{1,2}', ARRAY[p.kept,"
                                  " p.lost]) AS h"),
                        "t");
}

/* Under an older snapshot the job still waits; in truth it runs. */
static void
a_cancel_on_an_old_snapshot_does_not_hide_a_running_job(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *operator= test_connect(db, "operator");
    struct attempt a;
    PGresult *res;

    test_insert(db);
    test_exec(operator, "BEGIN ISOLATION LEVEL REPEATABLE READ");
    test_exec(operator, "SELECT count(*) FROM awa.jobs");
    a = test_claim_one(worker, 7);
    res = PQexec(operator, "SELECT awa.cancel_job(1)"); /* it may refuse */
    PQclear(res);
    res = PQexec(operator, "COMMIT");
    PQclear(res);
    test_exec(worker, test_complete_sql(&a));
    assert_true(strcmp(test_state(db, 1), "completed") == 0 ||
                strcmp(test_state(db, 1), "cancelled") == 0);
}

static void
a_deferred_job_is_promoted_or_cancelled_and_never_both(void **state)
{
    static const char promote[] =
        "SELECT promoted FROM awa.promote_jobs(p_now => clock_timestamp() + interval '1 h')";
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *operator= test_connect(db, "operator");

    test_lane(db, 2);
    test_exec(db, "SELECT awa.insert_job('k', p_delay => '1 min') FROM generate_series(1, 2)");
    test_exec(operator, "BEGIN");
    test_exec(operator, "SELECT awa.cancel_job(1)");
    assert_string_equal(test_rows(worker, promote), "1"); /* the other one; it does not wait */
    test_exec(operator, "COMMIT");
    assert_string_equal(test_state(db, 1), "cancelled");
    assert_string_equal(test_state(db, 2), "available");

    test_exec(db, "SELECT awa.insert_job('k', p_delay => '1 min')");
    test_exec(worker, "BEGIN");
    test_exec(worker, promote);
    test_send(operator, "SELECT awa.cancel_job(3)");
    test_wait_blocked(db, operator);
    test_exec(worker, "COMMIT");
    assert_string_equal(test_answer(operator), "t");
    assert_string_equal(test_state(db, 3), "cancelled");
    assert_string_equal(test_claim_ids(worker, 7, 10), "2");
}

static void
a_job_is_promoted_once_by_two(void **state)
{
    static const char promote[] =
        "SELECT promoted FROM awa.promote_jobs(p_now => clock_timestamp() + interval '1 h')";
    PGconn *db = *state;
    PGconn *first = test_connect(db, "worker"), *second = test_connect(db, "worker");

    test_exec(db, "SELECT awa.insert_job('k', p_delay => '1 min') FROM generate_series(1, 5)");
    test_exec(first, "BEGIN");
    assert_string_equal(test_rows(first, promote), "5");
    assert_string_equal(test_rows(second, promote), "0");
    test_exec(first, "COMMIT");
    assert_int_equal(test_count(db, "available"), 5);
}

static void
a_job_is_retried_once_by_two(void **state)
{
    static const char retry[] = "SELECT awa.retry_job(1)";
    PGconn *db = *state;
    PGconn *first = test_connect(db, "operator"), *second = test_connect(db, "operator");
    PGconn *worker = test_worker(db, 7);
    struct attempt a;

    test_insert(db);
    for (int withdrawn = 0; withdrawn < 2; withdrawn++) {
        if (withdrawn) {
            test_exec(first, "SELECT awa.cancel_job(1)");
        } else {
            a = test_claim_one(worker, 7);
            test_close(worker, &a, "failed");
        }
        test_exec(first, "BEGIN");
        assert_string_equal(test_text(first, retry), "t");
        test_send(second, retry);
        test_wait_blocked(db, second);
        test_exec(first, "COMMIT");
        assert_string_equal(test_answer(second), "f");
        assert_string_equal(test_state(db, 1), "available");
    }
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_DB(two_claimers_of_a_lane_share_its_jobs),
        TEST_DB(a_claim_that_rolls_back_never_was),
        TEST_DB(a_claim_does_not_wait_for_a_long_transaction),
        TEST_DB(a_busy_lane_is_left_for_another),
        TEST_DB(two_claimers_of_two_lanes_do_not_wait_in_a_circle),
        TEST_DB(an_open_producer_delays_nobody),
        TEST_DB(two_first_users_of_a_lane_do_not_wait_for_each_other_to_commit),
        TEST_DB(two_first_users_that_commit_at_once_share_a_lane),
        TEST_DB(a_unique_key_waits_only_for_its_own_holder),
        TEST_DB(batches_with_the_same_keys_do_not_wait_in_a_circle),
        TEST_DB(a_job_is_claimed_or_cancelled_and_never_both),
        TEST_DB(a_cancel_on_an_old_snapshot_does_not_hide_a_running_job),
        TEST_DB(a_deferred_job_is_promoted_or_cancelled_and_never_both),
        TEST_DB(a_job_is_promoted_once_by_two),
        TEST_DB(a_job_is_retried_once_by_two),
    };

    return TEST_RUN(tests);
}
