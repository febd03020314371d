/* SPDX-License-Identifier: MIT */
/* awa.promote_jobs(): deferred jobs become runnable in order of their time. */
#include "test_jobs.h"

#include <inttypes.h>
#include <string.h>

#define IN_A_DAY "p_now => clock_timestamp() + interval '1 day'"

static void
due_jobs_are_promoted_in_order_of_their_time(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);

    test_exec(db, "SELECT awa.insert_job('k', p_delay => d::interval)"
                  " FROM unnest('{3 h,1 h,2 h,30 h,1 h}'::text[]) AS d");
    assert_string_equal(test_rows(worker, "SELECT promoted, up_to FROM awa.promote_jobs()"), "0|");
    assert_string_equal(
        test_rows(worker, "SELECT promoted, up_to - clock_timestamp() BETWEEN '2.9 h' AND '3 h'"
                          " FROM awa.promote_jobs(" IN_A_DAY ")"),
        "4|t");
    assert_string_equal(test_state(db, 4), "scheduled");
    assert_string_equal(test_claim_ids(worker, 7, 10), "2 5 3 1");
}

static void
a_promotion_takes_no_more_than_it_may(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);
    const char *up_to;

    test_exec(db, "SELECT awa.insert_job('k', p_delay => i * interval '1 h')"
                  " FROM generate_series(1, 5) AS i");
    up_to = test_text(worker, "SELECT up_to FROM awa.promote_jobs(p_max => 2, " IN_A_DAY ")");
    assert_string_equal(test_claim_ids(worker, 7, 10), "1 2");
    assert_int_equal(
        test_int(worker, test_format("SELECT promoted FROM awa.promote_jobs('%s', 2, " IN_A_DAY ")",
                                     up_to)),
        2);
    assert_string_equal(test_claim_ids(worker, 7, 10), "3 4");
}

/* Its time lies before what the leader has promoted already. */
static void
a_job_that_commits_late_is_found_from_the_beginning(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *late = test_connect(db, "producer");
    const char *up_to;

    test_exec(late, "BEGIN");
    test_exec(late, "SELECT awa.insert_job('k', p_delay => '1 h')");
    test_exec(db, "SELECT awa.insert_job('k', p_delay => '2 h')");
    up_to = test_text(worker, "SELECT up_to FROM awa.promote_jobs(" IN_A_DAY ")");
    test_exec(late, "COMMIT");
    assert_int_equal(
        test_int(worker,
                 test_format("SELECT promoted FROM awa.promote_jobs('%s', " IN_A_DAY ")", up_to)),
        0);
    assert_int_equal(test_int(worker, "SELECT promoted FROM awa.promote_jobs(" IN_A_DAY ")"), 1);
    assert_string_equal(test_claim_ids(worker, 7, 10), "2 1");
}

static void
a_promoted_job_goes_where_it_belongs(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);

    test_exec(db, "SELECT awa.set_queue('mail', 8)");
    test_exec(db,
              "SELECT awa.insert_job('k', '[1]', 'mail', 3, 9, p_delay => '1 h', p_tags =>"
              " '{t}', p_metadata => '{\"m\": 1}', p_unique_key => 'u', p_ordering_key => 'o')");
    test_exec(db,
              "SELECT awa.insert_job('k', '[1]', 'mail', 3, 9, p_tags =>"
              " '{t}', p_metadata => '{\"m\": 1}', p_unique_key => 'v', p_ordering_key => 'o')");
    test_exec(worker, "SELECT awa.promote_jobs(" IN_A_DAY ")");
    assert_string_equal(
        test_rows(db, "SELECT count(DISTINCT (kind, args, queue, priority, max_attempts, tags,"
                      " metadata, enqueue_shard, attempt, state)), count(*) FROM awa.jobs"),
        "1|2");
    /* it waits since it was promoted, and was made when it was inserted */
    assert_string_equal(test_rows(db, "SELECT created_at < run_at FROM awa.jobs WHERE id = 1"),
                        "t");
    assert_null(test_text(db, "SELECT awa.insert_job('k', p_unique_key => 'u')"));
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_DB(due_jobs_are_promoted_in_order_of_their_time),
        TEST_DB(a_promotion_takes_no_more_than_it_may),
        TEST_DB(a_job_that_commits_late_is_found_from_the_beginning),
        TEST_DB(a_promoted_job_goes_where_it_belongs),
    };

    return TEST_RUN(tests);
}
