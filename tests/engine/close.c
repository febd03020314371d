/* SPDX-License-Identifier: MIT */
/* How attempts end: awa.complete_jobs(), awa.close_jobs(), awa.complete_job(). */
#include "test_jobs.h"

#include <inttypes.h>
#include <string.h>

/* A job with an option or none, claimed. */
static struct attempt
running(PGconn *db, PGconn *worker, const char *options)
{
    test_exec(db,
              test_format("SELECT awa.insert_job('k'%s%s)", *options != '\0' ? ", " : "", options));
    return test_claim_one(worker, 7);
}

static const char *
field(PGconn *db, int64_t id, const char *what)
{
    return test_rows(db, test_format("SELECT %s FROM awa.jobs WHERE id = %" PRId64, what, id));
}

/* ---- Outcomes ---------------------------------------------------------------------------- */

static void
an_outcome_decides_what_becomes_of_the_job(void **state)
{
    /* The state that is told, and then: state, attempts used, number of errors, run_at in s. */
    static const struct {
        const char *options, *outcome, *rest, *told, *want;
    } cases[] = {
        { "", "completed", "", "completed", "completed|1||" },
        { "", "completed", "NULL, '{17}'", "completed", "completed|1||" },
        { "", "completed", "'{odd}'", "completed", "completed|1|1|" },
        { "", "failed", "'{why}'", "failed", "failed|1|1|" },
        { "", "failed", "", "failed", "failed|1|1|" },
        { "", "cancelled", "'{why}'", "cancelled", "cancelled|1|1|" },
        { "", "retried", "'{why}', NULL, '{100 s}'", "retryable", "retryable|1|1|100" },
        { "", "retried", "'{why}', NULL, '{0 s}'", "retryable", "retryable|1|1|0" },
        { "p_max_attempts => 1", "retried", "'{why}'", "failed", "failed|1|1|" },
        { "", "snoozed", "NULL, NULL, '{100 s}'", "scheduled", "scheduled|0||100" },
        { "", "snoozed", "", "scheduled", "scheduled|0||0" },
        { "p_max_attempts => 1", "snoozed", "", "scheduled", "scheduled|0||0" },
        { "", "snoozed", "'{why}'", "scheduled", "scheduled|0|1|0" },
        { "", "released", "", "available", "available|0||" },
        { "", "released", "NULL, NULL, '{0 s}'", "available", "available|0||" },
        { "", "released", "NULL, NULL, '{100 s}'", "scheduled", "scheduled|0||100" },
        { "p_max_attempts => 1", "released", "", "available", "available|0||" },
        { "", "expired", "'{why}'", "retryable", "retryable|1|1|2" },
        { "p_max_attempts => 1", "expired", "'{why}'", "failed", "failed|1|1|" },
    };
    static const char shown[] = "state, attempt, jsonb_array_length(errors), CASE WHEN state IN"
                                " ('scheduled', 'retryable') THEN round(extract(epoch FROM run_at"
                                " - clock_timestamp())) END";
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *operator= test_connect(db, "operator");

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct attempt a = running(db, worker, cases[i].options);
        const char *told = test_text(worker, test_close_sql(&a, cases[i].outcome, cases[i].rest));

        if (strcmp(told, cases[i].told) != 0 || strcmp(field(db, a.id, shown), cases[i].want) != 0)
            fail_msg("%s (%s): want %s and %s, got %s and %s", cases[i].outcome, cases[i].rest,
                     cases[i].told, cases[i].want, told, field(db, a.id, shown));
        assert_string_equal(test_close(worker, &a, "completed"), "stale");
        test_exec(operator, "SELECT awa.drain_queue('default')");
    }
}

static void
a_job_that_lives_on_is_the_same_job(void **state)
{
    static const char same[] = "kind, args, queue, priority, max_attempts, created_at, tags,"
                               " metadata, unique_key, enqueue_shard";
    static const char *const outcomes[] = { "retried", "snoozed", "released", "expired" };
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);

    for (size_t i = 0; i < 4; i++) {
        struct attempt a =
            running(db, worker,
                    test_format("'[1]', p_max_attempts => 9, p_tags => '{t}',"
                                " p_metadata => '{\"m\": 1}', p_unique_key => 'u%zu'",
                                i));
        const char *before = field(db, a.id, same);

        test_text(worker, test_close_sql(&a, outcomes[i], "NULL, NULL, '{0 s}'"));
        assert_string_equal(field(db, a.id, same), before);
        test_exec(db, "SELECT awa.promote_jobs()");
        assert_string_equal(field(db, a.id, same), before);
        a = test_claim_one(worker, 7);
        assert_string_equal(field(db, a.id, same), before);
        test_close(worker, &a, "completed");
        assert_string_equal(field(db, a.id, same), before);
    }
}

static void
a_released_job_keeps_its_age_and_an_expired_one_does_not(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);
    struct attempt a = running(db, worker, "");
    const char *since = field(db, a.id, "run_at");

    test_close(worker, &a, "released");
    assert_string_equal(field(db, a.id, "run_at"), since);
    a = test_claim_one(worker, 7);
    test_close(worker, &a, "expired");
    assert_string_equal(field(db, a.id, test_format("run_at > '%s'", since)), "t");
}

static void
attempts_count_up_until_they_are_used_up(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);
    struct attempt a = running(db, worker, "p_max_attempts => 3");

    for (int attempt = 1; attempt <= 3; attempt++) {
        assert_int_equal(a.number, attempt);
        /* what is given back does not count */
        test_text(worker, test_close_sql(&a, "snoozed", "NULL, NULL, '{0 s}'"));
        test_exec(db, "SELECT awa.promote_jobs()");
        a = test_claim_one(worker, 7);
        assert_int_equal(a.number, attempt);
        test_close(worker, &a, "released");
        a = test_claim_one(worker, 7);
        assert_int_equal(a.number, attempt);
        assert_string_equal(
            test_text(worker, test_close_sql(&a, "retried", "'{x}', NULL, '{0 s}'")),
            attempt < 3 ? "retryable" : "failed");
        test_exec(db, "SELECT awa.promote_jobs()");
        if (attempt < 3)
            a = test_claim_one(worker, 7);
    }
    assert_string_equal(field(db, a.id,
                              "state, attempt, errors -> 0 ->> 'attempt',"
                              " errors -> 2 ->> 'attempt', jsonb_array_length(errors)"),
                        "failed|3|1|3|3");
}

static void
an_error_tells_which_attempt_and_how_it_ended(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);
    struct attempt a = running(db, worker, "");

    test_text(worker, test_close_sql(&a, "failed", "'{\"it \\\"broke\\\"\"}'"));
    assert_string_equal(
        field(db, a.id,
              "(errors -> 0) - 'at', (errors -> 0 ->> 'at')::timestamptz ="
              " (SELECT d.finalized_at FROM awa.done_entries AS d) OR"
              " (errors -> 0 ->> 'at')::timestamptz > clock_timestamp() - interval '1 min'"),
        "{\"error\": \"it \\\"broke\\\"\", \"attempt\": 1, \"outcome\": \"failed\"}|t");
}

static void
the_newest_25_errors_are_kept(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);
    struct attempt a = running(db, worker, "p_max_attempts => 1000");

    for (int i = 1; i <= 30; i++) {
        test_text(worker, test_close_sql(&a, "retried", test_format("'{e%d}', NULL, '{0 s}'", i)));
        test_exec(db, "SELECT awa.promote_jobs()");
        a = test_claim_one(worker, 7);
    }
    assert_string_equal(field(db, a.id,
                              "jsonb_array_length(errors), errors -> 0 ->> 'error',"
                              " errors -> -1 ->> 'error'"),
                        "25|e6|e30");
}

static void
a_backoff_doubles_up_to_a_day(void **state)
{
    static const struct {
        int attempt;
        int64_t low, high;
    } cases[] = {
        { -5, 1, 1 },         { 0, 1, 1 },          { 1, 2, 3 },
        { 2, 4, 5 },          { 3, 8, 10 },         { 10, 1024, 1280 },
        { 16, 65536, 81920 }, { 17, 86400, 86400 }, { 1000, 86400, 86400 },
    };
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);
    struct attempt a = running(db, worker, "");

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(
            test_rows(db, test_format("SELECT round(extract(epoch FROM awa.backoff(%d, 0))),"
                                      " round(extract(epoch FROM awa.backoff(%d, 1)))",
                                      cases[i].attempt, cases[i].attempt)),
            test_format("%" PRId64 "|%" PRId64, cases[i].low, cases[i].high));
    test_text(worker, test_close_sql(&a, "retried", ""));
    assert_string_equal(field(db, a.id, "run_at - clock_timestamp() BETWEEN '1.5 s' AND '2.5 s'"),
                        "t");
    assert_true(test_int(db, "SELECT count(DISTINCT awa.backoff(5)) FROM generate_series(1, 9)") >
                1);
}

static void
an_output_is_kept_with_the_job(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);
    struct attempt a = running(db, worker, ""), b;

    test_text(worker, test_close_sql(&a, "completed", "NULL, '{\"{\\\"a\\\": [1]}\"}'"));
    assert_string_equal(field(db, a.id, "output, errors"), "{\"a\": [1]}|");
    b = running(db, worker, "");
    test_close(worker, &b, "completed");
    assert_string_equal(field(db, b.id, "output IS NULL"), "t");
}

/* ---- One call, many jobs ----------------------------------------------------------------- */

static void
a_close_answers_for_each_job_in_order(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);
    struct attempt a[4];

    test_exec(db, "SELECT awa.insert_jobs('{a,b,c,d}')");
    assert_int_equal(test_claim(worker, 7, 4, a), 4);
    test_close(worker, &a[1], "completed");
    assert_string_equal(
        test_rows(worker, test_format("SELECT pos - %lld, state FROM awa.close_jobs(7, '{0,0,0,0}',"
                                      " '{1,1,1,1}', '{%lld,%lld,%lld,%lld}',"
                                      " '{released,failed,completed,failed}')",
                                      (long long)a[0].pos, (long long)a[3].pos, (long long)a[1].pos,
                                      (long long)a[0].pos, (long long)a[2].pos)),
        "3|available 1|stale 0|completed 2|failed");
    assert_string_equal(test_rows(db, "SELECT state FROM awa.jobs ORDER BY id"),
                        "completed completed failed available");
}

static void
the_same_attempt_twice_in_one_call_ends_once(void **state)
{
    static const char *const pairs[] = {
        "completed,completed", "completed,retried", "retried,completed",
        "retried,retried",     "released,released", "failed,released",
        "released,failed",     "snoozed,cancelled", "expired,released",
    };
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);
    int wrong = 0;

    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        struct attempt a = running(db, worker, test_format("to_jsonb(%zu)", i));
        const char *got =
            test_rows(worker, test_format("SELECT state FROM awa.close_jobs(7, '{0,0}',"
                                          " '{%lld,%lld}', '{%lld,%lld}', '{%s}', NULL, '{1,2}',"
                                          " '{1 h,1 h}')",
                                          (long long)a.claim, (long long)a.claim, (long long)a.pos,
                                          (long long)a.pos, pairs[i]));

        if (strcmp(test_state(db, a.id), "several") == 0) {
            print_error("%s: got %s and %s\n", pairs[i], got, test_state(db, a.id));
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

static void
a_completion_counts_only_what_the_claims_hold(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *other = test_worker(db, 8);
    struct attempt a[3], b[3], c[3];

    test_exec(db, "SELECT awa.insert_jobs(array_fill('k'::text, '{9}'))");
    assert_int_equal(test_claim(worker, 7, 3, a), 3);
    assert_int_equal(test_claim(other, 8, 3, b), 3);
    assert_int_equal(test_claim(worker, 7, 3, c), 3);
    /* one range over everything, in the name of two claims out of three */
    assert_string_equal(
        test_text(worker,
                  test_format("SELECT awa.complete_jobs(7, '{0,0}', '{%lld,%lld}',"
                              " '{\"{[%lld,%lld]}\",\"{[%lld,%lld]}\"}')",
                              (long long)a[0].claim, (long long)c[0].claim, (long long)a[1].pos,
                              (long long)c[2].pos + 100, (long long)a[0].pos, (long long)c[1].pos)),
        test_format("{[%lld,%lld),[%lld,%lld)}", (long long)a[1].pos, (long long)a[2].pos + 1,
                    (long long)c[0].pos, (long long)c[1].pos + 1));
    assert_string_equal(test_rows(db, "SELECT state, count(*) FROM awa.jobs GROUP BY 1 ORDER BY 1"),
                        "running|5 completed|4");
    assert_string_equal(test_rows(db, "SELECT n, outcome FROM awa.closures"), "4|completed");
}

static void
a_repeated_completion_completes_nothing(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);
    struct attempt a = running(db, worker, "");

    assert_string_not_equal(test_text(worker, test_complete_sql(&a)), "{}");
    assert_string_equal(test_text(worker, test_complete_sql(&a)), "{}");
    assert_int_equal(test_int(db, "SELECT count(*) FROM awa.closures"), 1);
}

static void
jobs_of_several_lanes_and_slots_complete_in_one_call(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);

    for (int i = 0; i < 3; i++) {
        test_exec(db, "SELECT awa.insert_jobs('{a,b,c}', p_priorities => '{1,2,2}')");
        test_exec(db, "SELECT awa.rotate_ring(true)");
    }
    for (int i = 0; i < 2; i++)
        test_claim_ids(worker, 7, 100);
    test_exec(worker,
              test_format("SELECT awa.complete_jobs(7, '%s', '%s', '%s')",
                          test_text(db, "SELECT array_agg(ready_slot ORDER BY claim_id, ready_slot)"
                                        " FROM awa.claims"),
                          test_text(db, "SELECT array_agg(claim_id ORDER BY claim_id, ready_slot)"
                                        " FROM awa.claims"),
                          test_text(db, "SELECT array_agg(positions ORDER BY claim_id, ready_slot)"
                                        " FROM awa.claims")));
    assert_int_equal(test_count(db, "completed"), 9);
    assert_int_equal(test_int(db, "SELECT count(*) FROM awa.closures"), 6);
}

/* ---- In the handler's own transaction ---------------------------------------------------- */

static const char *
complete_one(const struct attempt *a, const char *output)
{
    return test_format("SELECT awa.complete_job(%lld, %lld, %lld, %s)", (long long)a->worker,
                       (long long)a->claim, (long long)a->pos, output);
}

static void
a_job_completes_with_its_effects_or_not_at_all(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);
    struct attempt a = running(db, worker, "");

    test_exec(db, "CREATE TABLE effects (n int); GRANT INSERT ON effects TO PUBLIC");
    test_exec(worker, "BEGIN; INSERT INTO effects VALUES (1)");
    test_exec(worker, complete_one(&a, "NULL"));
    assert_string_equal(test_state(db, a.id), "running");
    test_exec(worker, "ROLLBACK");
    assert_string_equal(test_state(db, a.id), "running");
    test_exec(worker, "BEGIN; INSERT INTO effects VALUES (2)");
    test_exec(worker, complete_one(&a, "'{\"o\": 1}'"));
    test_exec(worker, "COMMIT");
    assert_string_equal(field(db, a.id, "state, attempt, output, errors"),
                        "completed|1|{\"o\": 1}|");
    /* the attempt is over: a second try takes its effects with it */
    test_exec(worker, "BEGIN; INSERT INTO effects VALUES (3)");
    test_expect_error(worker, "JQ003", complete_one(&a, "NULL"));
    test_exec(worker, "COMMIT");
    assert_string_equal(test_rows(db, "SELECT n FROM effects"), "2");
}

static void
a_job_completes_once_in_a_transaction(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);
    struct attempt a = running(db, worker, "");

    test_exec(worker, "BEGIN");
    test_exec(worker, complete_one(&a, "NULL"));
    test_expect_error(worker, "JQ003", complete_one(&a, "NULL"));
    test_exec(worker, "ROLLBACK");
    assert_string_equal(test_state(db, a.id), "running");
}

static void
what_ends_a_job_is_durable(void **state)
{
    static const char *const calls[] = {
        "awa.complete_jobs(7, '{}', '{}', '{}')",
        "awa.close_jobs(7, '{}', '{}', '{}', '{}')",
        "awa.promote_jobs()",
        "awa.rescue_jobs()",
        "awa.reconcile_worker(78, '{}')",
        "awa.expire_jobs()",
        "awa.carry_forward(5::smallint)",
        "awa.register_worker(77, 'w', '{default}')",
    };
    PGconn *worker = test_worker(*state, 7);
    struct attempt a = running(*state, worker, "");

    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        test_exec(worker, "BEGIN; SET LOCAL synchronous_commit = off");
        test_exec(worker, test_format("SELECT %s", calls[i]));
        if (strcmp(test_text(worker, "SHOW synchronous_commit"), "on") != 0)
            fail_msg("%s", calls[i]);
        test_exec(worker, "ROLLBACK");
    }
    test_exec(worker, "BEGIN; SET LOCAL synchronous_commit = off");
    test_exec(worker, complete_one(&a, "NULL"));
    assert_string_equal(test_text(worker, "SHOW synchronous_commit"), "on");
    test_exec(worker, "ROLLBACK; BEGIN; SET LOCAL synchronous_commit = remote_apply");
    test_exec(worker, complete_one(&a, "NULL"));
    assert_string_equal(test_text(worker, "SHOW synchronous_commit"), "remote_apply");
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_DB(an_outcome_decides_what_becomes_of_the_job),
        TEST_DB(a_job_that_lives_on_is_the_same_job),
        TEST_DB(a_released_job_keeps_its_age_and_an_expired_one_does_not),
        TEST_DB(attempts_count_up_until_they_are_used_up),
        TEST_DB(an_error_tells_which_attempt_and_how_it_ended),
        TEST_DB(the_newest_25_errors_are_kept),
        TEST_DB(a_backoff_doubles_up_to_a_day),
        TEST_DB(an_output_is_kept_with_the_job),
        TEST_DB(a_close_answers_for_each_job_in_order),
        TEST_DB(the_same_attempt_twice_in_one_call_ends_once),
        TEST_DB(a_completion_counts_only_what_the_claims_hold),
        TEST_DB(a_repeated_completion_completes_nothing),
        TEST_DB(jobs_of_several_lanes_and_slots_complete_in_one_call),
        TEST_DB(a_job_completes_with_its_effects_or_not_at_all),
        TEST_DB(a_job_completes_once_in_a_transaction),
        TEST_DB(what_ends_a_job_is_durable),
    };

    return TEST_RUN(tests);
}
