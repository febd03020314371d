/* SPDX-License-Identifier: MIT */
/* libawa's calls on jobs that have ended: options, results, statuses. */
#include "test_jobs.h"

#include <string.h>

struct place {
    PGconn *db, *worker, *operator;
};

typedef awa_status call(PGconn *conn, const awa_bulk_options *options, awa_bulk_result *result,
                        awa_error *reterr);

static const struct {
    const char *name;
    call *call;
    bool reason, times, target; /* what it understands */
} calls[] = {
    { "failed_retry", awa_failed_retry, false, false, false },
    { "failed_discard", awa_failed_discard, false, false, false },
    { "failed_move", awa_failed_move, true, false, false },
    { "dlq_jobs_retry", awa_dlq_jobs_retry, true, true, true },
    { "dlq_purge", awa_dlq_purge, true, true, false },
};

enum { NCALLS = sizeof calls / sizeof calls[0] };

/* n jobs of kind 'k' have failed; their ids are 1, 2, ... */
static struct place
open_place(PGconn *db, int n)
{
    struct place p = { .db = db,
                       .worker = test_worker(db, 7),
                       .operator= test_connect(db, "operator") };

    test_exec(db, test_format("SELECT awa.insert_jobs(array_fill('k'::text, '{%d}'))", n));
    test_end(p.worker, "default", n, "failed");
    return p;
}

/* The first `letters` of them are dead letters. */
static struct place
open_place_with_letters(PGconn *db, int n, int letters)
{
    struct place p = open_place(db, n);

    test_exec(p.operator,
              test_format("SELECT awa.move_to_dlq(id) FROM generate_series(1, %d) AS id", letters));
    return p;
}

static const char *
jobs(PGconn *db)
{
    return test_text(db, "SELECT md5(string_agg(j::text, ' ' ORDER BY j.id)) FROM awa.jobs AS j");
}

static void
an_option_that_a_call_does_not_understand_is_refused(void **state)
{
    static const struct {
        awa_bulk_options options;
        int group; /* 0: reason, 1: times, 2: target */
    } cases[] = {
        { { .kind = "k", .reason = "manual" }, 0 }, { { .kind = "k", .from_ms = 1 }, 1 },
        { { .kind = "k", .to_ms = INT64_MAX }, 1 }, { { .kind = "k", .run_at_ms = 1 }, 2 },
        { { .kind = "k", .delay_ms = 1 }, 2 },      { { .kind = "k", .to_queue = "q" }, 2 },
        { { .kind = "k", .to_priority = 1 }, 2 },
    };
    struct place p = open_place_with_letters(*state, 4, 2);
    const char *before = jobs(p.db);

    for (size_t i = 0; i < NCALLS * sizeof cases / sizeof cases[0]; i++) {
        size_t c = i % NCALLS;
        awa_bulk_options o = cases[i / NCALLS].options;
        const bool takes[] = { calls[c].reason, calls[c].times, calls[c].target };
        bool taken = takes[cases[i / NCALLS].group];
        awa_error err;
        awa_status s;

        o.size = sizeof o;
        o.dry_run = 1;
        s = calls[c].call(p.operator, & o, NULL, &err);
        if (s != (taken ? AWA_OK : AWA_EINVAL) ||
            (!taken && strstr(err.message, "means nothing here") == NULL))
            fail_msg("%s, case %zu: %s", calls[c].name, i / NCALLS, awa_status_text(s));
    }
    assert_string_equal(jobs(p.db), before);
}

static void
without_a_filter_and_without_all_nothing_happens(void **state)
{
    struct place p = open_place_with_letters(*state, 4, 2);
    const char *before = jobs(p.db);
    awa_error err;

    for (size_t c = 0; c < NCALLS; c++) {
        assert_int_equal(calls[c].call(p.operator, AWA_BULK(), NULL, &err), AWA_EINVAL);
        assert_non_null(strstr(err.message, "filter: missing"));
        assert_int_equal(calls[c].call(p.operator, NULL, NULL, &err), AWA_EINVAL);
        assert_int_equal(calls[c].call(NULL, AWA_BULK(.all = 1), NULL, &err), AWA_EINVAL);
        assert_int_equal(calls[c].call(p.operator, &(awa_bulk_options){ .all = 1 }, NULL, &err),
                         AWA_EINVAL);
        assert_non_null(strstr(err.message, "AWA_BULK()"));
        assert_int_equal(
            calls[c].call(p.operator, AWA_BULK(.all = 1), &(awa_bulk_result){ 0 }, &err),
            AWA_EINVAL);
        assert_int_equal(calls[c].call(p.operator, AWA_BULK(.all = 1, .limit = -1), NULL, &err),
                         AWA_EINVAL);
        assert_non_null(strstr(err.message, "limit: want 1 to 10000, got -1"));
        assert_int_equal(
            calls[c].call(p.operator, AWA_BULK(.all = 1, .limit = INT64_MAX), NULL, &err),
            AWA_EINVAL);
    }
    assert_string_equal(jobs(p.db), before);
}

static void
pages_visit_each_job_once(void **state)
{
    struct place p = open_place_with_letters(*state, 25, 0);
    awa_bulk_result r = { .size = sizeof r };
    awa_error err;

    assert_int_equal(
        awa_failed_move(p.operator, AWA_BULK(.kind = "k", .limit = 12, .dry_run = 1), &r, &err),
        AWA_OK);
    assert_int_equal(r.matched, 12);
    assert_int_equal(r.changed, 0);
    assert_int_equal(r.next_before, 14);
    assert_int_equal(r.nsample, AWA_SAMPLE_MAX);
    assert_int_equal(r.sample[0], 25);
    assert_int_equal(r.sample[9], 16);

    r.next_before = 0;
    for (int page = 0; page < 3; page++) {
        assert_int_equal(awa_failed_move(p.operator,
                                         AWA_BULK(.kind = "k", .limit = 12, .before = r.next_before,
                                                  .reason = "look"),
                                         &r, &err),
                         AWA_OK);
        assert_int_equal(r.changed, page < 2 ? 12 : 1);
        assert_int_equal(r.next_before, page == 0 ? 14 : page == 1 ? 2 : 0);
    }
    assert_int_equal(r.nsample, 1);
    assert_int_equal(r.sample[0], 1);
    assert_int_equal(r.sample[1], 0);
    assert_string_equal(test_rows(p.db, "SELECT count(*), min(reason) FROM awa.list_dlq()"),
                        "25|look");
    test_counts(p.db);
}

static void
a_call_takes_a_thousand_unless_told_otherwise(void **state)
{
    struct place p = open_place(*state, 1001);
    call *const takers[] = { awa_failed_move, awa_dlq_purge };
    awa_bulk_result r = { .size = sizeof r };
    awa_error err;

    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(takers[i](p.operator, AWA_BULK(.all = 1), &r, &err), AWA_OK);
        assert_int_equal(r.changed, 1000);
        assert_int_equal(r.next_before, 2);
        assert_int_equal(takers[i](p.operator, AWA_BULK(.all = 1), &r, &err), AWA_OK);
        assert_int_equal(r.changed, 1);
        assert_int_equal(r.next_before, 0);
    }
}

static void
a_result_is_as_long_as_the_caller_says(void **state)
{
    struct place p = open_place(*state, 3);
    awa_bulk_result r = { .size = offsetof(awa_bulk_result, conflicts), .conflicts = 77 };
    awa_error err;

    assert_int_equal(awa_failed_discard(p.operator, AWA_BULK(.queue = "default"), &r, &err),
                     AWA_OK);
    assert_int_equal(r.size, offsetof(awa_bulk_result, conflicts));
    assert_int_equal(r.changed, 3);
    assert_int_equal(r.conflicts, 77);
}

static void
dead_letters_run_where_and_when_the_caller_says(void **state)
{
    struct place p = open_place_with_letters(*state, 4, 4);
    awa_error err;

    assert_int_equal(awa_dlq_retry(p.operator, 1, NULL, &err), AWA_OK);
    assert_int_equal(awa_dlq_retry(p.operator, 1, NULL, &err), AWA_ENOTFOUND);
    assert_int_equal(awa_dlq_retry(p.operator, 2,
                                   AWA_BULK(.run_at_ms = INT64_C(4102444800000), .to_queue = "q",
                                            .to_priority = 4),
                                   &err),
                     AWA_OK);
    assert_int_equal(awa_dlq_retry(p.operator, 3, AWA_BULK(.kind = "k"), &err), AWA_EINVAL);
    assert_int_equal(awa_dlq_retry(p.operator, 3, AWA_BULK(.run_at_ms = 1, .delay_ms = 1), &err),
                     AWA_EINVAL);
    assert_int_equal(awa_dlq_retry(p.operator, 3, AWA_BULK(.to_priority = 5), &err), AWA_EINVAL);
    assert_int_equal(awa_dlq_jobs_retry(
                         p.operator, AWA_BULK(.reason = "manual", .delay_ms = 3600000), NULL, &err),
                     AWA_OK);
    assert_string_equal(
        test_rows(p.db, "SELECT id, state, queue, priority, run_at = '2100-01-01 00:00+00',"
                        " run_at - now() BETWEEN '55 min' AND '60 min' FROM awa.jobs ORDER BY id"),
        "1|available|default|2|f|f 2|scheduled|q|4|t|f 3|scheduled|default|2|f|t"
        " 4|scheduled|default|2|f|t");
    test_counts(p.db);
}

static void
a_newer_job_with_the_key_is_a_conflict(void **state)
{
    struct place p = open_place(*state, 2);
    awa_bulk_result r = { .size = sizeof r };
    awa_error err;

    test_exec(p.db, "SELECT awa.insert_job('k', p_unique_key => 'u')");
    test_end(p.worker, "default", 1, "failed");
    test_exec(p.operator, "SELECT awa.move_failed_to_dlq(p_all => true)");
    test_exec(p.db, "SELECT awa.insert_job('k', p_unique_key => 'u')");
    assert_int_equal(awa_dlq_retry(p.operator, 3, NULL, &err), AWA_EEXISTS);
    assert_int_equal(awa_dlq_jobs_retry(p.operator, AWA_BULK(.all = 1), &r, &err), AWA_OK);
    assert_int_equal(r.matched, 3);
    assert_int_equal(r.changed, 2);
    assert_int_equal(r.conflicts, 1);
    assert_int_equal(test_int(p.db, "SELECT count(*) FROM awa.list_dlq()"), 1);
}

static void
times_bound_the_death_of_a_letter(void **state)
{
    struct place p = open_place_with_letters(*state, 3, 3);
    awa_bulk_result r = { .size = sizeof r };
    int64_t then = test_int(p.db, "SELECT (extract(epoch FROM max(dlq_at)) * 1000)::bigint"
                                  " FROM awa.list_dlq()");
    awa_error err;

    assert_int_equal(awa_dlq_purge(p.operator, AWA_BULK(.to_ms = then - 60000), &r, &err), AWA_OK);
    assert_int_equal(r.changed, 0);
    assert_int_equal(awa_dlq_purge(p.operator, AWA_BULK(.from_ms = then + 60000), &r, &err),
                     AWA_OK);
    assert_int_equal(r.changed, 0);
    assert_int_equal(awa_dlq_purge(p.operator,
                                   AWA_BULK(.from_ms = then - 60000, .to_ms = then + 60000), &r,
                                   &err),
                     AWA_OK);
    assert_int_equal(r.changed, 3);
}

static void
single_jobs_are_moved_and_deleted(void **state)
{
    struct place p = open_place(*state, 2);
    awa_error err;

    assert_int_equal(awa_dlq_move(p.operator, 1, "look", &err), AWA_OK);
    assert_int_equal(awa_dlq_move(p.operator, 1, NULL, &err), AWA_ENOTFOUND);
    assert_int_equal(awa_dlq_move(p.operator, 2, NULL, &err), AWA_OK);
    assert_int_equal(awa_dlq_move(p.operator, 2, "", &err), AWA_EINVAL);
    assert_string_equal(test_rows(p.db, "SELECT id, reason FROM awa.list_dlq() ORDER BY id"),
                        "1|look 2|manual");
    assert_int_equal(awa_job_delete(p.operator, 1, &err), AWA_OK);
    assert_int_equal(awa_job_delete(p.operator, 1, &err), AWA_ENOTFOUND);
    assert_string_equal(test_state(p.db, 1), "none");
}

static void
counters_are_checked_and_put_right(void **state)
{
    struct place p = open_place(*state, 3);
    int64_t n = -1;
    awa_error err;

    assert_int_equal(awa_counters_check(p.operator, & n, &err), AWA_OK);
    assert_int_equal(n, 0);
    test_exec(p.db, "INSERT INTO awa.queue_terminal_count_deltas (lane_id, completed, ready_slot)"
                    " SELECT lane_id, 996, 0 FROM awa.lanes LIMIT 1");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(awa_counters_check(p.operator, & n, &err), AWA_OK);
        assert_int_equal(n, 996);
    }
    assert_int_equal(awa_counters_rebuild(p.operator, & n, &err), AWA_OK);
    assert_int_equal(n, 996);
    assert_int_equal(awa_counters_check(p.operator, & n, &err), AWA_OK);
    assert_int_equal(n, 0);
    test_counts(p.db);
}

static void
a_reset_wants_the_name_of_the_database(void **state)
{
    struct place p = open_place(*state, 3);
    awa_error err;

    assert_int_equal(awa_storage_reset(p.operator, "another", &err), AWA_EINVAL);
    assert_int_equal(awa_storage_reset(p.operator, NULL, &err), AWA_EINVAL);
    assert_int_equal(test_count(p.db, "failed"), 3);
    test_exec(p.db, "BEGIN; SELECT awa.insert_job('k')");
    assert_int_equal(awa_storage_reset(p.operator, PQdb(p.db), &err), AWA_EBUSY);
    test_exec(p.db, "ROLLBACK");
    assert_int_equal(awa_storage_reset(p.operator, PQdb(p.db), &err), AWA_OK);
    assert_int_equal(test_int(p.db, "SELECT count(*) FROM awa.jobs"), 0);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_DB(an_option_that_a_call_does_not_understand_is_refused),
        TEST_DB(without_a_filter_and_without_all_nothing_happens),
        TEST_DB(pages_visit_each_job_once),
        TEST_DB(a_call_takes_a_thousand_unless_told_otherwise),
        TEST_DB(a_result_is_as_long_as_the_caller_says),
        TEST_DB(dead_letters_run_where_and_when_the_caller_says),
        TEST_DB(a_newer_job_with_the_key_is_a_conflict),
        TEST_DB(times_bound_the_death_of_a_letter),
        TEST_DB(single_jobs_are_moved_and_deleted),
        TEST_DB(counters_are_checked_and_put_right),
        TEST_DB(a_reset_wants_the_name_of_the_database),
    };

    return TEST_RUN(tests);
}
