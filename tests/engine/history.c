/* SPDX-License-Identifier: MIT */
/* What operators do to many jobs at once, and DELETE FROM and INSERT INTO awa.jobs. */
#include "test_jobs.h"

#include <poll.h>
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

/* Failed jobs 1 to n, of kinds k0, k1, k2, k0 ... and queues q0, q1, q0 ...; the fifth has a tag.
 */
static void
fail_jobs(const struct place *p, int n)
{
    test_exec(p->db,
              test_format("SELECT awa.insert_jobs((SELECT array_agg('k' || i %% 3) FROM"
                          " generate_series(1, %1$d) AS i), p_queues => (SELECT array_agg('q' ||"
                          " i %% 2) FROM generate_series(1, %1$d) AS i), p_tags => (SELECT"
                          " array_agg(CASE i WHEN 5 THEN '[\"t\"]' END) FROM"
                          " generate_series(1, %1$d) AS i))",
                          n));
    test_end(p->worker, "q0", n, "failed");
    test_end(p->worker, "q1", n, "failed");
}

/* ---- Many at once ------------------------------------------------------------------------ */

static const char *const bulk_verbs[] = { "retry_failed", "discard_failed", "move_failed_to_dlq",
                                          "retry_dlq_jobs", "purge_dlq" };
enum { NBULK = sizeof bulk_verbs / sizeof bulk_verbs[0] };

static void
a_bulk_verb_needs_a_filter_or_the_word_that_all_are_meant(void **state)
{
    struct place p = open_place(*state);

    fail_jobs(&p, 4);
    test_exec(p.operator, "SELECT awa.move_to_dlq(1)");
    for (size_t i = 0; i < NBULK; i++) {
        const char *verb = bulk_verbs[i];

        test_expect_error(p.operator, "JQ001", test_format("SELECT awa.%s()", verb));
        test_expect_error(p.operator, "JQ001", test_format("SELECT awa.%s(p_all => NULL)", verb));
        test_expect_error(p.operator, "JQ001",
                          test_format("SELECT awa.%s(p_all => true, p_limit => 0)", verb));
        test_expect_error(p.operator, "JQ001",
                          test_format("SELECT awa.%s(p_kind => 'k', p_limit => 10001)", verb));
        test_exec(p.operator, "BEGIN ISOLATION LEVEL REPEATABLE READ");
        test_expect_error(p.operator, "JQ001", test_format("SELECT awa.%s(p_kind => 'k')", verb));
        test_exec(p.operator, "ROLLBACK");
    }
    assert_int_equal(test_count(p.db, "failed"), 4);
}

static void
a_dry_run_only_counts(void **state)
{
    struct place p = open_place(*state);
    static const char all[] = "SELECT md5(string_agg(j::text, ' ' ORDER BY j.id)) FROM awa.jobs j";
    const char *before;

    fail_jobs(&p, 24);
    test_exec(p.operator, "SELECT awa.move_failed_to_dlq(p_all => true, p_limit => 12)");
    before = test_text(p.db, all);
    for (size_t i = 0; i < NBULK; i++)
        assert_string_equal(
            test_rows(p.operator, test_format("SELECT matched, changed, conflicts,"
                                              " cardinality(sample), next_before IS NULL"
                                              "  FROM awa.%s(p_all => true, p_dry_run => true)",
                                              bulk_verbs[i])),
            "12|0|0|10|t");
    assert_string_equal(test_text(p.db, all), before);
    test_counts(p.db);
}

static void
filters_choose(void **state)
{
    static const struct {
        const char *filter, *ids;
    } cases[] = {
        { "p_kind => 'k0'", "{12,9,6,3}" },
        { "p_queue => 'q1', p_kind => 'k0'", "{9,3}" },
        { "p_tag => 't'", "{5}" },
        { "p_kind => 'none'", "{}" },
        { "p_kind => 'k0', p_before => 9", "{6,3}" },
        { "p_all => true, p_limit => 2", "{12,11}" },
    };
    struct place p = open_place(*state);

    fail_jobs(&p, 12);
    for (int dead = 0; dead <= 1; dead++) {
        for (size_t v = dead ? 3 : 0; v < (dead ? NBULK : 3); v++)
            for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
                assert_string_equal(
                    test_text(p.operator, test_format("SELECT sample FROM awa.%s(%s,"
                                                      " p_dry_run => true)",
                                                      bulk_verbs[v], cases[i].filter)),
                    cases[i].ids);
        test_exec(p.operator, "SELECT awa.move_failed_to_dlq(p_all => true)");
    }
}

/* With next_before as p_before until it is NULL, each is met once, whatever stays. */
static void
the_cursor_visits_each_once(void **state)
{
    struct place p = open_place(*state);

    fail_jobs(&p, 11);
    test_exec(p.db, "INSERT INTO awa.unique_keys SELECT 'key' || i, 0 FROM"
                    " generate_series(1, 11) AS i");
    for (int dead = 0; dead <= 1; dead++) {
        for (size_t v = dead ? 3 : 0; v < (dead ? NBULK : 3); v++) {
            const char *before = "NULL";
            int64_t seen = 0;

            for (int page = 0; before != NULL && page < 10; page++) {
                const char *row = test_rows(
                    p.operator, test_format("SELECT matched, next_before FROM awa.%s(p_all =>"
                                            " true, p_limit => 3, p_before => %s, p_dry_run =>"
                                            " true)",
                                            bulk_verbs[v], before));

                seen += strtoll(row, NULL, 10);
                before = strchr(row, '|') + 1;
                if (*before == '\0')
                    before = NULL;
            }
            assert_int_equal(seen, 11);
        }
        test_exec(p.operator, "SELECT awa.move_failed_to_dlq(p_all => true)");
    }
}

static void
failed_jobs_run_again_in_their_order(void **state)
{
    struct place p = open_place(*state);

    fail_jobs(&p, 9);
    assert_string_equal(test_rows(p.operator, "SELECT * FROM awa.retry_failed(p_queue => 'q1',"
                                              " p_limit => 4)"),
                        "4|4|0|{9,7,5,3}|3");
    test_counts(p.db);
    assert_string_equal(test_rows(p.worker, "SELECT id, attempt FROM awa.claim_jobs(7, 'q1', 10)"),
                        "3|1 5|1 7|1 9|1");
    test_counts(p.db);
}

/* Of two jobs with one key the newest runs, and the key is its own from then on. */
static void
a_unique_key_that_is_taken_is_a_conflict(void **state)
{
    struct place p = open_place(*state);

    for (int i = 0; i < 3; i++) {
        test_exec(p.db, "SELECT awa.insert_job('k', p_unique_key => 'u')");
        test_end(p.worker, "default", 1, "failed");
    }
    test_exec(p.db, "SELECT awa.insert_job('k')");
    test_end(p.worker, "default", 1, "failed");
    assert_string_equal(test_rows(p.operator, "SELECT * FROM awa.retry_failed(p_kind => 'k')"),
                        "4|2|2|{4,3,2,1}|");
    test_counts(p.db);
    assert_string_equal(test_rows(p.db, "SELECT id FROM awa.jobs WHERE state = 'available'"
                                        " ORDER BY id"),
                        "3 4");
    assert_null(test_text(p.db, "SELECT awa.insert_job('k', p_unique_key => 'u')"));
    assert_memory_equal(test_error(p.operator, "SELECT awa.retry_job(1)"), "JQ004", 5);
    assert_string_equal(test_rows(p.operator, "SELECT * FROM awa.retry_failed(p_kind => 'k')"),
                        "2|0|2|{2,1}|");
    test_end(p.worker, "default", 2, "completed");
    assert_string_equal(test_text(p.operator, "SELECT awa.retry_job(1)"), "t");
    test_counts(p.db);
}

static void
failed_jobs_are_kept_for_as_long_as_their_queue_wants(void **state)
{
    struct place p = open_place(*state);

    test_exec(p.operator, "SELECT awa.set_queue('q0', p_failed_retention => '1 h')");
    fail_jobs(&p, 6);
    test_exec(p.db, "SELECT awa.rotate_ring(true)");
    test_exec(p.worker, "SELECT awa.checkpoint_heads(0::smallint)");
    test_exec(p.worker, "SELECT awa.carry_forward(0::smallint, 10, clock_timestamp() + '2 h')");
    assert_string_equal(
        test_text(p.worker, "SELECT awa.prune_slot(0::smallint, clock_timestamp() + '2 h')"),
        "pruned");
    test_counts(p.db);
    assert_string_equal(test_rows(p.db, "SELECT queue, failed, pruned_failed FROM"
                                        " awa.queue_counts() WHERE queue <> 'default'"),
                        "q0|0|3 q1|3|0");
    assert_string_equal(test_rows(p.operator, "SELECT matched, changed FROM"
                                              " awa.retry_failed(p_all => true)"),
                        "3|3");
    test_counts(p.db);
}

static void
completed_jobs_are_kept_for_as_long_as_the_most_patient_queue_wants(void **state)
{
    struct place p = open_place(*state);

    test_exec(p.operator, "SELECT awa.set_queue('q0', p_completed_retention => '3 h'),"
                          " awa.set_queue('q1', p_completed_retention => '0 s')");
    test_exec(p.db, "SELECT awa.insert_jobs('{k,k}', p_queues => '{q0,q1}')");
    test_complete(p.worker, "q0", 1);
    test_complete(p.worker, "q1", 1);
    test_exec(p.db, "SELECT awa.rotate_ring(true)");
    assert_null(test_text(p.worker, "SELECT to_prune FROM"
                                    " awa.turn_ring(clock_timestamp() + interval '179 min')"));
    assert_int_equal(test_int(p.worker, "SELECT to_prune FROM"
                                        " awa.turn_ring(clock_timestamp() + interval '181 min')"),
                     0);
}

/* ---- DELETE ------------------------------------------------------------------------------ */

/* A job in a state, by its id; of what ran, the attempt. */
static int64_t
make(const struct place *p, const char *state, struct attempt *a)
{
    bool later = strcmp(state, "scheduled") == 0;
    int64_t id = test_int(p->db, later ? "SELECT awa.insert_job('k', p_delay => '1 h')"
                                       : "SELECT awa.insert_job('k')");

    test_exec(p->operator, test_format("SELECT awa.set_queue('default', p_dlq_enabled => %s)",
                                       strcmp(state, "dead") == 0 ? "true" : "false"));
    if (later || strcmp(state, "available") == 0)
        return id;
    if (strcmp(state, "withdrawn") == 0) {
        test_exec(p->operator, test_format("SELECT awa.cancel_job(%lld)", (long long)id));
        return id;
    }
    *a = test_claim_one(p->worker, 7);
    if (strcmp(state, "running") == 0)
        return id;
    test_close(p->worker, a,
               strcmp(state, "retryable") == 0   ? "retried"
               : strcmp(state, "completed") == 0 ? "completed"
               : strcmp(state, "cancelled") == 0 ? "cancelled"
                                                 : "failed");
    return id;
}

static const char *const states[] = { "scheduled", "available", "running",
                                      "retryable", "completed", "failed",
                                      "cancelled", "withdrawn", "dead" };

static void
a_job_is_deleted_whatever_its_state(void **state)
{
    struct place p = open_place(*state);

    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        for (int sql = 0; sql <= 1; sql++) {
            struct attempt a = { 0 };
            int64_t id = make(&p, states[i], &a);

            test_counts(p.db);
            if (sql)
                assert_string_equal(
                    test_rows(p.operator, test_format("DELETE FROM awa.jobs WHERE id = %lld"
                                                      " RETURNING id",
                                                      (long long)id)),
                    test_format("%lld", (long long)id));
            else
                assert_string_equal(
                    test_text(p.operator,
                              test_format("SELECT awa.delete_job_compat(%lld)", (long long)id)),
                    "t");
            test_counts(p.db);
            assert_string_equal(test_state(p.db, id), "none");
            assert_string_equal(test_text(p.operator, test_format(
                                              "SELECT awa.delete_job_compat(%lld)", (long long)id)),
                                "f");
            assert_string_equal(test_claim_ids(p.worker, 7, 10), "");
            test_counts(p.db);
            if (a.worker != 0)
                assert_string_equal(test_close(p.worker, &a, "completed"), "stale");
            test_exec(p.db, "SELECT awa.promote_jobs(p_now => now() + interval '1 day')");
            assert_string_equal(test_state(p.db, id), "none");
        }
    assert_int_equal(test_int(p.db, "SELECT count(*) FROM awa.jobs"), 0);
    test_exec(p.db, "SELECT awa.rotate_ring(true)");
    test_exec(p.worker, "SELECT awa.turn_ring(clock_timestamp() + interval '2 min')");
    test_counts(p.db);
}

static void
the_worker_of_a_deleted_job_is_told(void **state)
{
    struct place p = open_place(*state);
    struct attempt a;
    PGnotify *told = NULL;

    test_exec(p.worker, "SELECT awa.listen('{default}')");
    make(&p, "running", &a);
    test_exec(p.operator, "DELETE FROM awa.jobs WHERE id = 1");
    for (int i = 0; told == NULL && i < 1000; i++) {
        assert_true(PQconsumeInput(p.worker));
        told = PQnotifies(p.worker);
        (void)poll(NULL, 0, 5);
    }
    assert_non_null(told);
    assert_string_equal(told->relname, "awa.cancel");
    assert_string_equal(told->extra, "7");
    PQfreemem(told);
    test_expect_error(p.worker, "JQ003",
                      test_attempt_sql("SELECT awa.complete_job(7, <claim>, <pos>)", &a));
    assert_string_equal(
        test_text(p.worker, test_attempt_sql("SELECT lost = '<run>' FROM awa.heartbeat('{7}', '{}',"
                                             " '{<claim>}', '{\"<run>\"}')",
                                             &a)),
        "t");
}

static void
jobs_are_deleted_by_any_condition(void **state)
{
    struct place p = open_place(*state);

    fail_jobs(&p, 6);
    test_exec(p.db, "SELECT awa.insert_jobs(array_fill('k9'::text, '{6}'), p_delays =>"
                    " '{1 h,NULL,NULL,NULL,NULL,1 h}')");
    test_complete(p.worker, "default", 2);
    test_exec(p.operator, "SELECT awa.move_to_dlq(2)");
    test_exec(p.operator, "DELETE FROM awa.jobs WHERE id % 2 = 0");
    test_counts(p.db);
    assert_string_equal(test_rows(p.db, "SELECT id FROM awa.jobs ORDER BY id"), "1 3 5 7 9 11");
    test_exec(p.operator, "BEGIN; DELETE FROM awa.jobs; ROLLBACK");
    test_counts(p.db);
    assert_int_equal(test_int(p.db, "SELECT count(*) FROM awa.jobs"), 6);
    test_exec(p.operator, "DELETE FROM awa.jobs");
    test_counts(p.db);
    assert_int_equal(test_int(p.db, "SELECT count(*) FROM awa.jobs"), 0);
    test_exec(p.operator, "BEGIN ISOLATION LEVEL REPEATABLE READ");
    test_expect_error(p.operator, "JQ001", "DELETE FROM awa.jobs");
}

static void
a_job_that_is_just_ending_is_not_waited_for(void **state)
{
    struct place p = open_place(*state);
    struct attempt a;

    make(&p, "running", &a);
    test_exec(p.worker, "BEGIN");
    test_exec(p.worker, test_attempt_sql("SELECT awa.complete_job(7, <claim>, <pos>)", &a));
    test_expect_error(p.operator, "JQ006", "DELETE FROM awa.jobs WHERE id = 1");
    test_exec(p.worker, "COMMIT");
    test_exec(p.operator, "DELETE FROM awa.jobs WHERE id = 1");
    test_counts(p.db);
    assert_string_equal(test_state(p.db, 1), "none");
}

static void
only_operators_take_jobs_out(void **state)
{
    static const char *const calls[] = {
        "SELECT awa.retry_job(1)",
        "SELECT awa.cancel_job(1)",
        "SELECT awa.delete_job_compat(1)",
        "SELECT awa.retry_failed(p_all => true)",
        "SELECT awa.discard_failed(p_all => true)",
        "SELECT awa.move_to_dlq(1)",
        "SELECT awa.move_failed_to_dlq(p_all => true)",
        "SELECT awa.retry_dlq(1)",
        "SELECT awa.retry_dlq_jobs(p_all => true)",
        "SELECT awa.purge_dlq(p_all => true)",
        "SELECT awa.rebuild_terminal_counters()",
        "DELETE FROM awa.jobs WHERE id = 1",
    };
    static const char *const roles[] = { "producer", "bulk", "worker", "viewer" };
    struct place p = open_place(*state);

    fail_jobs(&p, 1);
    for (size_t r = 0; r < sizeof roles / sizeof roles[0]; r++) {
        PGconn *conn = test_connect(p.db, roles[r]);

        for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
            test_expect_error(conn, "42501", calls[i]);
    }
    test_expect_error(p.db, "55000", "UPDATE awa.jobs SET priority = 1");
    assert_string_equal(test_state(p.db, 1), "failed");
}

/* ---- INSERT ------------------------------------------------------------------------------ */

static void
jobs_are_inserted_by_the_rules_of_insert_job(void **state)
{
    PGconn *db = *state, *producer = test_connect(db, "producer");

    test_exec(producer, "INSERT INTO awa.jobs (kind) VALUES ('k')");
    test_exec(producer, "INSERT INTO awa.jobs (kind, args, queue, priority, max_attempts, run_at,"
                        " tags, metadata, unique_key) VALUES ('l', '{\"a\": 1}', 'q', 1, 3,"
                        " now() + interval '1 h', '{t}', '{\"m\": 2}', 'u')");
    test_exec(producer, "INSERT INTO awa.jobs (kind, unique_key) VALUES ('l', 'u')");
    test_exec(producer, "INSERT INTO awa.jobs (kind, queue) SELECT 'm', 'q' FROM"
                        " generate_series(1, 3)");
    test_counts(db);
    assert_string_equal(
        test_rows(db, "SELECT id, kind, queue, state, priority, attempt, max_attempts, args, tags,"
                      " metadata, unique_key FROM awa.jobs WHERE kind <> 'm' ORDER BY kind"),
        "1|k|default|available|2|0|25|{}||| 2|l|q|scheduled|1|0|3|{\"a\": 1}|{t}|{\"m\": 2}|u");
    assert_int_equal(test_int(db, "SELECT count(*) FROM awa.jobs WHERE kind = 'm'"), 3);
    assert_string_equal(test_rows(test_connect(db, "operator"),
                                  "INSERT INTO awa.jobs (kind) VALUES ('o') RETURNING kind,"
                                  " id > 2"),
                        "o|t");
}

static void
a_bad_insert_names_the_field(void **state)
{
    static const struct {
        const char *columns, *values, *error;
    } cases[] = {
        { "queue", "'q'", "JQ001 kind: missing" },
        { "kind, queue", "'k', ''", "JQ001 queue: want 1 to 200 bytes, got 0" },
        { "kind, priority", "'k', 5", "JQ001 priority: want 1 to 4, got 5" },
        { "kind, max_attempts", "'k', 0", "JQ001 max_attempts: want 1 to 1000, got 0" },
        { "kind, metadata", "'k', '[]'", "JQ001 metadata: want an object, got array" },
        { "kind, unique_key", "'k', ''", "JQ001 unique_key: want 1 to 200 bytes, got 0" },
        { "kind, tags", "'k', array_fill('t'::text, '{21}')",
          "JQ001 tags: want at most 20, got 21" },
        { "kind, run_at", "'k', '20000-01-01'",
          "JQ001 run_at: want a time before the year 10000, got 20000-01-01 00:00:00+00" },
    };
    static const struct {
        const char *column, *value, *error;
    } given[] = {
        { "id", "7", "JQ001 awa.jobs: id cannot be given" },
        { "state", "'running'", "JQ001 awa.jobs: state cannot be given" },
        { "attempt", "1", "JQ001 awa.jobs: attempt cannot be given" },
        { "dlq_at", "now()", "JQ001 awa.jobs: a time other than run_at cannot be given" },
        { "pos", "1", "JQ001 awa.jobs: what a worker writes cannot be given" },
        { "errors", "'[]'", "JQ001 awa.jobs: what a worker writes cannot be given" },
    };
    PGconn *db = *state, *producer = test_connect(db, "producer");

    test_exec(producer, "SET TimeZone = 'UTC'");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(
            test_error(producer, test_format("INSERT INTO awa.jobs (%s) VALUES (%s)",
                                             cases[i].columns, cases[i].values)),
            cases[i].error);
    for (size_t i = 0; i < sizeof given / sizeof given[0]; i++) {
        const char *sql = test_format("INSERT INTO awa.jobs (kind, %s) VALUES ('k', %s)",
                                      given[i].column, given[i].value);

        test_expect_error(producer, "42501", sql);
        assert_string_equal(test_error(db, sql), given[i].error);
    }
    assert_int_equal(test_int(db, "SELECT count(*) FROM awa.jobs"), 0);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_DB(a_bulk_verb_needs_a_filter_or_the_word_that_all_are_meant),
        TEST_DB(a_dry_run_only_counts),
        TEST_DB(filters_choose),
        TEST_DB(the_cursor_visits_each_once),
        TEST_DB(failed_jobs_run_again_in_their_order),
        TEST_DB(a_unique_key_that_is_taken_is_a_conflict),
        TEST_DB(failed_jobs_are_kept_for_as_long_as_their_queue_wants),
        TEST_DB(completed_jobs_are_kept_for_as_long_as_the_most_patient_queue_wants),
        TEST_DB(a_job_is_deleted_whatever_its_state),
        TEST_DB(the_worker_of_a_deleted_job_is_told),
        TEST_DB(jobs_are_deleted_by_any_condition),
        TEST_DB(a_job_that_is_just_ending_is_not_waited_for),
        TEST_DB(only_operators_take_jobs_out),
        TEST_DB(jobs_are_inserted_by_the_rules_of_insert_job),
        TEST_DB(a_bad_insert_names_the_field),
    };

    return TEST_RUN(tests);
}
