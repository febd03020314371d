/* SPDX-License-Identifier: MIT */
/* The dead-letter queue: who gets there, how it is read, and how jobs leave it. */
#include "test_jobs.h"

#include <string.h>

struct place {
    PGconn *db, *worker, *operator;
};

static struct place
open_place(PGconn *db)
{
    struct place p = { .db = db,
                       .worker = test_worker(db, 7),
                       .operator= test_connect(db, "operator") };

    test_exec(db, "UPDATE awa.settings SET slot_age = '1000 years'");
    return p;
}

/* Jobs i, j, ... of kind 'k' end as dead letters of queue 'default'. */
static void
bury(const struct place *p, int n)
{
    test_exec(p->operator, "SELECT awa.set_queue('default', p_dlq_enabled => true)");
    test_exec(p->db, test_format("SELECT awa.insert_jobs(array_fill('k'::text, '{%d}'))", n));
    test_end(p->worker, "default", n, "failed");
}

/* ---- In ---------------------------------------------------------------------------------- */

static void
every_failure_has_its_reason(void **state)
{
    struct place p = open_place(*state);
    struct attempt a[5];

    test_exec(p.operator, "SELECT awa.set_queue('default', p_dlq_enabled => true,"
                          " p_deadline => '10 s')");
    test_exec(p.db, "SELECT awa.insert_jobs(array_fill('k'::text, '{5}'), p_max_attempts =>"
                    " '{5,1,1,1,1}')");
    assert_int_equal(test_claim(p.worker, 7, 5, a), 5);
    assert_string_equal(test_close(p.worker, &a[0], "failed"), "failed");
    assert_string_equal(test_close(p.worker, &a[1], "retried"), "failed");
    assert_string_equal(test_close(p.worker, &a[2], "expired"), "failed");
    test_counts(p.db);
    assert_int_equal(
        test_int(p.worker, "SELECT awa.expire_jobs(p_now => clock_timestamp() + '1 m')"), 2);
    test_counts(p.db);
    assert_string_equal(test_rows(p.operator, "SELECT id, reason, attempt, max_attempts, run_lease,"
                                              " jsonb_array_length(errors) FROM awa.list_dlq()"
                                              " ORDER BY id"),
                        test_format("1|terminal_error|1|5|%1$lld|1"
                                    " 2|max_attempts_exhausted|1|1|%1$lld|1"
                                    " 3|deadline_exceeded|1|1|%1$lld|1"
                                    " 4|deadline_exceeded|1|1|%1$lld|1"
                                    " 5|deadline_exceeded|1|1|%1$lld|1",
                                    (long long)a[0].claim));
    assert_string_equal(test_rows(p.db, "SELECT id, state, dlq_reason, finalized_at = dlq_at"
                                        " FROM awa.jobs WHERE id < 3 ORDER BY id"),
                        "1|failed|terminal_error|t 2|failed|max_attempts_exhausted|t");
}

static void
the_last_attempt_of_a_dead_worker_is_buried(void **state)
{
    struct place p = open_place(*state);
    struct attempt a;

    test_exec(p.operator, "SELECT awa.set_queue('default', p_dlq_enabled => true)");
    test_exec(p.db, "SELECT awa.insert_job('k', p_max_attempts => 1)");
    a = test_claim_one(p.worker, 7);
    test_exec(p.worker, "SELECT awa.deregister_worker(7)");
    assert_int_equal(test_int(p.worker, "SELECT awa.rescue_jobs()"), 1);
    test_counts(p.db);
    assert_string_equal(test_rows(p.operator, "SELECT id, reason FROM awa.list_dlq()"),
                        "1|max_attempts_exhausted");
    assert_string_equal(test_close(p.worker, &a, "completed"), "stale");
}

static void
the_switch_holds_for_jobs_that_fail_from_then_on(void **state)
{
    struct place p = open_place(*state);
    struct attempt a[4];

    test_exec(p.db, "SELECT awa.insert_jobs(array_fill('k'::text, '{4}'))");
    assert_int_equal(test_claim(p.worker, 7, 4, a), 4);
    test_close(p.worker, &a[0], "failed");
    test_exec(p.operator, "SELECT awa.set_queue('default', p_dlq_enabled => true)");
    test_close(p.worker, &a[1], "failed");
    test_exec(p.operator, "SELECT awa.set_queue('default', p_dlq_enabled => false)");
    test_close(p.worker, &a[2], "failed");
    test_exec(p.db, "UPDATE awa.settings SET dlq_enabled = true");
    test_exec(p.operator, "SELECT awa.set_queue('default', p_reset => true)");
    test_close(p.worker, &a[3], "failed");
    test_counts(p.db);
    assert_string_equal(test_rows(p.db, "SELECT failed, dead_lettered FROM awa.queue_counts()"),
                        "2|2");
    assert_string_equal(test_rows(p.operator, "SELECT id FROM awa.list_dlq()"), "4 2");
}

static void
a_failed_job_is_moved_with_all_that_is_known(void **state)
{
    struct place p = open_place(*state);
    static const char what[] =
        "SELECT id, kind, queue, args, state, priority, attempt, max_attempts, run_at, created_at,"
        " finalized_at, errors, output, tags, metadata, unique_key, enqueue_shard FROM awa.jobs";
    const char *before;

    test_exec(p.db, "SELECT awa.insert_job('k', '{\"a\": 1}', p_priority => 2, p_tags => '{t,u}',"
                    " p_metadata => '{\"m\": 2}', p_unique_key => 'u')");
    test_exec(p.worker,
              "SELECT k.state FROM awa.claim_jobs(7, 'default', 1) AS c CROSS JOIN LATERAL"
              " awa.close_jobs(7, ARRAY[c.ready_slot], ARRAY[c.claim_id], ARRAY[c.pos],"
              " '{failed}', '{why}', '{7}') AS k");
    before = test_rows(p.db, what);
    test_exec(p.operator, "SELECT awa.move_to_dlq(1, 'a reason')");
    assert_string_equal(test_rows(p.db, what), before);
    assert_string_equal(test_rows(p.operator,
                                  "SELECT reason, attempted_at IS NOT NULL, run_lease IS"
                                  " NOT NULL FROM awa.list_dlq()"),
                        "a reason|t|t");
    test_counts(p.db);
}

static void
only_what_has_failed_is_moved(void **state)
{
    struct place p = open_place(*state);

    test_exec(p.db, "SELECT awa.insert_jobs(array_fill('k'::text, '{3}'))");
    test_exec(p.db, "SELECT awa.insert_job('k', p_delay => '1 h')");
    test_complete(p.worker, "default", 1);
    test_exec(p.operator, "SELECT awa.cancel_job(2)");
    for (int id = 1; id <= 5; id++)
        assert_string_equal(test_text(p.operator, test_format("SELECT awa.move_to_dlq(%d)", id)),
                            "f");
    test_expect_error(p.operator, "JQ001", "SELECT awa.move_to_dlq(1, '')");
    test_expect_error(p.operator, "JQ001", "SELECT awa.move_to_dlq(1, NULL)");
    test_expect_error(p.operator, "JQ001",
                      "SELECT awa.move_failed_to_dlq(p_all => true, p_reason => repeat('x', 201))");
    test_counts(p.db);
}

/* ---- Reading ----------------------------------------------------------------------------- */

static void
dead_letters_are_found_by_every_filter(void **state)
{
    static const struct {
        const char *filter, *ids;
    } cases[] = {
        { "", "6 5 4 3 2 1" },
        { "p_kind => 'k1'", "5 3 1" },
        { "p_queue => 'q1'", "6 3" },
        { "p_tag => 't'", "4 2" },
        { "p_reason => 'other'", "6 4" },
        { "p_reason => 'other', p_kind => 'k1'", "" },
        { "p_from => '2030-01-03', p_to => '2030-01-05'", "4 3" },
        { "p_limit => 2", "6 5" },
        { "p_before_at => '2030-01-04'", "4 3 2 1" },
        { "p_before_at => '2030-01-04', p_before_id => 4", "3 2 1" },
        { "p_before_at => '2030-01-04', p_before_id => 4, p_limit => 1", "3" },
    };
    struct place p = open_place(*state);

    test_exec(p.db, "SELECT awa.insert_jobs((SELECT array_agg('k' || i % 2) FROM"
                    " generate_series(1, 6) AS i), p_queues => '{q0,q0,q1,q0,q0,q1}', p_tags =>"
                    " '{NULL,\"[\\\"t\\\"]\",NULL,\"[\\\"s\\\", \\\"t\\\"]\",NULL,NULL}')");
    test_end(p.worker, "q0", 10, "failed");
    test_end(p.worker, "q1", 10, "failed");
    test_exec(p.operator, "SELECT awa.move_failed_to_dlq(p_all => true)");
    test_exec(p.db, "UPDATE awa.dlq_entries AS d SET dlq_at = v.at, reason = v.reason FROM (VALUES"
                    " (1, timestamptz '2030-01-01', 'a'), (2, '2030-01-02', 'a'),"
                    " (3, '2030-01-04', 'a'), (4, '2030-01-04', 'other'), (5, '2030-01-05', 'a'),"
                    " (6, '2030-01-06', 'other')) AS v (id, at, reason) WHERE v.id = d.id");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(
            test_rows(p.operator, test_format("SELECT id FROM awa.list_dlq(%s)", cases[i].filter)),
            cases[i].ids);
    assert_string_equal(test_rows(p.operator, "SELECT queue, depth FROM awa.dlq_depth()"),
                        "q0|4 q1|2");
    assert_string_equal(test_rows(p.operator, "SELECT depth, oldest_at = '2030-01-04'"
                                              " FROM awa.dlq_depth('q1')"),
                        "2|t");
    test_expect_error(p.operator, "JQ001", "SELECT awa.list_dlq(p_limit => 0)");
    test_expect_error(p.operator, "JQ001", "SELECT awa.list_dlq(p_limit => 10001)");
}

/* Page by page, while more arrive at the front: each that was there is met once. */
static void
the_cursor_is_stable_while_more_arrive(void **state)
{
    struct place p = open_place(*state);
    const char *cursor = "", *seen = "";

    bury(&p, 10);
    for (int page = 0; page < 5; page++) {
        const char *ids =
            test_text(p.operator, test_format("SELECT string_agg(d.id::text, ' ')"
                                              "  FROM awa.list_dlq(p_limit => 2%s) AS d",
                                              cursor));
        const char *last = ids != NULL ? strchr(ids, ' ') : NULL;

        if (last == NULL) {
            fail_msg("page %d is not full", page);
            return;
        }
        seen = test_format("%s%s ", seen, ids);
        cursor = test_format(", p_before_at => (SELECT e.dlq_at FROM awa.list_dlq() AS e"
                             " WHERE e.id = %1$s), p_before_id => %1$s",
                             last + 1);
        bury(&p, 3);
    }
    assert_null(test_text(p.operator, test_format("SELECT string_agg(d.id::text, ' ')"
                                                  "  FROM awa.list_dlq(p_limit => 2%s) AS d",
                                                  cursor)));
    assert_string_equal(seen, "10 9 8 7 6 5 4 3 2 1 ");
}

/* ---- Out --------------------------------------------------------------------------------- */

static void
a_dead_letter_begins_anew(void **state)
{
    struct place p = open_place(*state);

    test_exec(p.operator, "SELECT awa.set_queue('default', p_dlq_enabled => true)");
    test_exec(p.db, "SELECT awa.insert_jobs(array_fill('k'::text, '{5}'), p_max_attempts =>"
                    " array_fill(1, '{5}'))");
    test_end(p.worker, "default", 5, "retried");
    assert_string_equal(test_text(p.operator, "SELECT awa.retry_dlq(1)"), "t");
    test_counts(p.db);
    assert_string_equal(
        test_text(p.operator, "SELECT awa.retry_dlq(2, clock_timestamp() + interval '1 h')"), "t");
    test_counts(p.db);
    assert_string_equal(test_text(p.operator, "SELECT awa.retry_dlq(3, NULL, 'other', 4)"), "t");
    test_counts(p.db);
    assert_string_equal(
        test_text(p.operator, "SELECT awa.retry_dlq(4, now() - interval '1 h', NULL, 1)"), "t");
    test_counts(p.db);
    assert_string_equal(test_text(p.operator, "SELECT awa.retry_dlq(4)"), "f");
    assert_string_equal(test_text(p.operator, "SELECT awa.retry_dlq(99)"), "f");
    test_expect_error(p.operator, "JQ001", "SELECT awa.retry_dlq(5, NULL, NULL, 5)");
    test_expect_error(p.operator, "JQ001", "SELECT awa.retry_dlq(5, NULL, '')");
    test_expect_error(p.operator, "JQ001", "SELECT awa.retry_dlq(5, '20000-01-01')");
    test_counts(p.db);
    assert_string_equal(
        test_rows(p.db, "SELECT id, state, queue, priority, attempt, jsonb_array_length(errors)"
                        " FROM awa.jobs ORDER BY id"),
        "1|available|default|2|0|1 2|scheduled|default|2|0|1 3|available|other|4|0|1"
        " 4|available|default|1|0|1 5|failed|default|2|1|1");
    test_end(p.worker, "other", 1, "completed");
    for (int lane = 0; lane < 2; lane++)
        test_end(p.worker, "default", 5, "failed");
    test_counts(p.db);
    assert_string_equal(test_rows(p.db, "SELECT id, jsonb_array_length(errors) FROM awa.jobs"
                                        " WHERE dlq_at IS NOT NULL ORDER BY id"),
                        "1|2 4|2 5|1");
}

static void
many_dead_letters_begin_anew(void **state)
{
    struct place p = open_place(*state);

    bury(&p, 7);
    test_exec(p.db, "UPDATE awa.dlq_entries SET kind = 'l' WHERE id < 3");
    assert_string_equal(test_rows(p.operator,
                                  "SELECT * FROM awa.retry_dlq_jobs(p_kind => 'l', p_to_queue =>"
                                  " 'other', p_to_priority => 3)"),
                        "2|2|0|{2,1}|");
    test_counts(p.db);
    assert_string_equal(
        test_rows(p.operator, "SELECT * FROM awa.retry_dlq_jobs(p_queue => 'default', p_limit => 2,"
                              " p_run_at => clock_timestamp() + interval '1 h')"),
        "2|2|0|{7,6}|6");
    test_counts(p.db);
    assert_string_equal(
        test_rows(p.operator, "SELECT * FROM awa.retry_dlq_jobs(p_reason => 'terminal_error')"),
        "3|3|0|{5,4,3}|");
    test_counts(p.db);
    assert_string_equal(test_rows(p.db, "SELECT id, state, queue, priority FROM awa.jobs"
                                        " ORDER BY id"),
                        "1|available|other|3 2|available|other|3 3|available|default|2"
                        " 4|available|default|2 5|available|default|2 6|scheduled|default|2"
                        " 7|scheduled|default|2");
}

/* Of two dead letters with one key the newest is run; with a live holder, none. */
static void
a_unique_key_that_is_taken_leaves_the_job(void **state)
{
    struct place p = open_place(*state);

    test_exec(p.operator, "SELECT awa.set_queue('default', p_dlq_enabled => true)");
    for (int i = 0; i < 2; i++) {
        test_exec(p.db, "SELECT awa.insert_job('k', p_unique_key => 'u')");
        test_end(p.worker, "default", 1, "failed");
    }
    test_exec(p.db, "SELECT awa.insert_job('k', p_unique_key => 'u')");
    assert_memory_equal(test_error(p.operator, "SELECT awa.retry_dlq(2)"), "JQ004", 5);
    assert_string_equal(test_rows(p.operator, "SELECT * FROM awa.retry_dlq_jobs(p_all => true)"),
                        "2|0|2|{2,1}|");
    test_counts(p.db);
    test_end(p.worker, "default", 1, "completed");
    assert_string_equal(test_rows(p.operator, "SELECT * FROM awa.retry_dlq_jobs(p_all => true)"),
                        "2|1|1|{2,1}|");
    test_counts(p.db);
    assert_string_equal(test_rows(p.operator, "SELECT id FROM awa.list_dlq()"), "1");
    assert_null(test_text(p.db, "SELECT awa.insert_job('k', p_unique_key => 'u')"));
}

static void
dead_letters_are_purged(void **state)
{
    struct place p = open_place(*state);

    bury(&p, 5);
    assert_string_equal(test_rows(p.operator, "SELECT * FROM awa.purge_dlq(p_kind => 'other')"),
                        "0|0|0|{}|");
    assert_string_equal(test_rows(p.operator,
                                  "SELECT * FROM awa.purge_dlq(p_reason => 'terminal_error',"
                                  " p_limit => 2)"),
                        "2|2|0|{5,4}|4");
    test_counts(p.db);
    assert_string_equal(
        test_rows(p.operator, "SELECT * FROM awa.purge_dlq(p_from => '2000-01-01', p_before => 3)"),
        "2|2|0|{2,1}|");
    test_counts(p.db);
    assert_string_equal(test_rows(p.operator, "SELECT id FROM awa.list_dlq()"), "3");
    test_exec(p.operator, "DELETE FROM awa.jobs WHERE id = 3");
    test_counts(p.db);
    assert_int_equal(test_int(p.db, "SELECT count(*) FROM awa.jobs"), 0);
}

static void
dead_letters_are_kept_for_as_long_as_their_queue_wants(void **state)
{
    struct place p = open_place(*state);

    test_exec(p.db, "UPDATE awa.settings SET dlq_enabled = true");
    test_exec(p.operator, "SELECT awa.set_queue('short', p_dlq_retention => '1 day')");
    test_exec(p.db, "SELECT awa.insert_jobs(array_fill('k'::text, '{4}'), p_queues =>"
                    " '{short,short,default,default}')");
    test_end(p.worker, "short", 9, "failed");
    test_end(p.worker, "default", 9, "failed");
    test_exec(p.db, "UPDATE awa.dlq_entries SET dlq_at = dlq_at + '12 h' WHERE id IN (2, 4)");
    test_exec(p.worker, "SELECT awa.turn_ring(clock_timestamp() + interval '25 h')");
    assert_string_equal(test_rows(p.db, "SELECT id FROM awa.jobs ORDER BY id"), "2 3 4");
    test_counts(p.db);
    test_exec(p.worker, "SELECT awa.turn_ring(clock_timestamp() + interval '30 d 6 h')");
    assert_string_equal(test_rows(p.db, "SELECT id FROM awa.jobs ORDER BY id"), "4");
    test_counts(p.db);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_DB(every_failure_has_its_reason),
        TEST_DB(the_last_attempt_of_a_dead_worker_is_buried),
        TEST_DB(the_switch_holds_for_jobs_that_fail_from_then_on),
        TEST_DB(a_failed_job_is_moved_with_all_that_is_known),
        TEST_DB(only_what_has_failed_is_moved),
        TEST_DB(dead_letters_are_found_by_every_filter),
        TEST_DB(the_cursor_is_stable_while_more_arrive),
        TEST_DB(a_dead_letter_begins_anew),
        TEST_DB(many_dead_letters_begin_anew),
        TEST_DB(a_unique_key_that_is_taken_leaves_the_job),
        TEST_DB(dead_letters_are_purged),
        TEST_DB(dead_letters_are_kept_for_as_long_as_their_queue_wants),
    };

    return TEST_RUN(tests);
}
