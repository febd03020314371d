/* SPDX-License-Identifier: MIT */
/* Options of a job: validated at the door, carried wherever the job goes; and max_run_ms. */
#include "test_jobs.h"

#include <inttypes.h>
#include <string.h>

#define OPTIONS "{\"max_run_ms\": 5000}"

static int64_t
insert(PGconn *db)
{
    return test_int(db, "SELECT awa.insert_job('k', p_options => '" OPTIONS "')");
}

static const char *
options_of(PGconn *db, int64_t id)
{
    return test_text(db, test_format("SELECT coalesce(options::text, 'none') FROM awa.jobs WHERE id"
                                     " = %" PRId64,
                                     id));
}

static void
a_plain_job_has_none(void **state)
{
    assert_string_equal(options_of(*state, test_insert(*state)), "none");
    assert_string_equal(
        options_of(*state, test_int(*state, "SELECT awa.insert_job('k', p_options => '{}')")),
        "none");
}

static void
every_door_takes_them(void **state)
{
    PGconn *db = *state;
    int64_t ids[2];
    awa_job_options jobs[] = { *AWA_JOB(.kind = "a", .max_run_ms = 5000), *AWA_JOB(.kind = "b") };
    awa_error err;

    assert_int_equal(awa_job_insert(db, &jobs[0], &ids[0], &err), AWA_OK);
    assert_string_equal(options_of(db, ids[0]), OPTIONS);
    assert_int_equal(awa_jobs_insert(db, jobs, 2, ids, &err), AWA_OK);
    assert_string_equal(options_of(db, ids[0]), OPTIONS);
    assert_string_equal(options_of(db, ids[1]), "none");
    assert_int_equal(awa_jobs_copy(db, jobs, 2, ids, &err), AWA_OK);
    assert_string_equal(options_of(db, ids[0]), OPTIONS);
    assert_string_equal(options_of(db, ids[1]), "none");
    test_exec(db, "INSERT INTO awa.jobs (kind, options) VALUES ('view', '" OPTIONS "')");
    assert_int_equal(test_int(db, "SELECT count(*) FROM awa.jobs WHERE options IS NOT NULL"), 4);
}

static void
a_door_refuses_what_it_does_not_know(void **state)
{
    static const struct {
        const char *options, *want;
    } cases[] = {
        { "[]", "options: want an object, got array" },
        { "{\"color\": 1}", "options: there is no option color" },
        { "{\"max_run_ms\": 0}", "max_run_ms: want a whole number from 1 to 31536000000, got 0" },
        { "{\"max_run_ms\": 31536000001}", "max_run_ms: want a whole number" },
        { "{\"max_run_ms\": 1.5}", "max_run_ms: want a whole number" },
        { "{\"max_run_ms\": \"5\"}", "max_run_ms: want a whole number" },
        { "{\"max_run_ms\": null}", "max_run_ms: want a whole number" },
    };
    awa_error err;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *error = test_error(
            *state, test_format("SELECT awa.insert_job('k', p_options => '%s')", cases[i].options));

        if (strstr(error, cases[i].want) == NULL)
            fail_msg("%s: %s", cases[i].options, error);
    }
    assert_int_equal(awa_job_insert(*state, AWA_JOB(.kind = "k", .max_run_ms = -1), NULL, &err),
                     AWA_EINVAL);
    assert_non_null(strstr(err.message, "max_run_ms"));
}

/* awa_bulk_producer may write entries by COPY, past every door. */
static void
what_a_claim_relies_on_is_a_constraint(void **state)
{
    static const char *const bad[] = { "[]", "{\"max_run_ms\": \"x\"}", "{\"max_run_ms\": 0}",
                                       "{\"max_run_ms\": 1e300}" };
    PGconn *db = *state;

    (void)test_insert(db);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_non_null(strstr(
            test_error(db,
                       test_format("INSERT INTO awa.ready_entries (pos, id, enqueued_at,"
                                   " ready_slot, attempt, max_attempts, kind, args, options)"
                                   " SELECT pos + 1, 9, now(), ready_slot, 0, 1, 'k', '{}', '%s'"
                                   " FROM awa.ready_entries",
                                   bad[i])),
            "options"));
}

/* ---- Carried everywhere ------------------------------------------------------------------ */

/* Each takes a job of queue 'default' somewhere, where it must still have its options. */
static const struct {
    const char *name, *sql;
} ways[] = {
    { "retried", "SELECT test.close('retried', '0 s'); SELECT awa.promote_jobs()" },
    { "snoozed", "SELECT test.close('snoozed', '1 h')" },
    { "released", "SELECT test.close('released', NULL)" },
    { "failed", "SELECT test.close('failed', NULL)" },
    { "failed and retried", "SELECT test.close('failed', NULL);"
                            " SELECT awa.retry_job(id) FROM awa.jobs" },
    { "failed and retried in bulk",
      "SELECT test.close('failed', NULL); SELECT awa.retry_failed(p_all => true)" },
    { "dead", "SELECT awa.set_queue('default', p_dlq_enabled => true);"
              " SELECT test.close('failed', NULL)" },
    { "moved, revived",
      "SELECT test.close('failed', NULL); SELECT awa.move_to_dlq(id) FROM awa.jobs;"
      " SELECT awa.retry_dlq(id) FROM awa.jobs" },
    { "moved in bulk, revived for later",
      "SELECT test.close('failed', NULL); SELECT awa.move_failed_to_dlq(p_all => true);"
      " SELECT awa.retry_dlq_jobs(p_all => true, p_run_at => now() + '1 h')" },
    { "deferred and cancelled", "SELECT test.close('snoozed', '1 h');"
                                " SELECT awa.cancel_job(id) FROM awa.jobs" },
    { "cancelled and retried", "SELECT test.close('snoozed', '1 h');"
                               " SELECT awa.cancel_job(id) FROM awa.jobs;"
                               " SELECT awa.retry_job(id) FROM awa.jobs" },
    { "carried while it runs", "SELECT test.claim(); SELECT awa.rotate_ring(true);"
                               " SELECT awa.carry_forward(ready_slot) FROM awa.jobs" },
    { "carried while it waits",
      "SELECT awa.rotate_ring(true); SELECT awa.carry_forward(ready_slot) FROM awa.jobs" },
    { "carried when it has failed",
      "SELECT test.close('failed', NULL); SELECT awa.rotate_ring(true);"
      " SELECT awa.carry_forward(ready_slot) FROM awa.jobs" },
    { "expired",
      "SELECT test.claim(); SELECT awa.expire_jobs(p_now => clock_timestamp() + '1 h')" },
    { "rescued", "SELECT test.claim(); SELECT awa.deregister_worker(7); SELECT awa.rescue_jobs()" },
};

/* Functions in a schema of the test: claim the only job, and end it. */
static void
make_functions(PGconn *db)
{
    test_exec(db,
              "CREATE SCHEMA test;"
              "CREATE FUNCTION test.claim() RETURNS void LANGUAGE sql AS $$ SELECT 1 FROM"
              " awa.claim_jobs(7, 'default', 1) $$;"
              "CREATE FUNCTION test.close(p_outcome text, p_delay interval) RETURNS void LANGUAGE"
              " plpgsql AS $$ DECLARE j record; BEGIN SELECT * INTO STRICT j FROM"
              " awa.claim_jobs(7, 'default', 1);"
              " PERFORM awa.close_jobs(7, ARRAY[j.ready_slot], ARRAY[j.claim_id], ARRAY[j.pos],"
              " ARRAY[p_outcome], NULL, NULL, ARRAY[p_delay]); END $$");
}

static void
they_go_wherever_the_job_goes(void **state)
{
    PGconn *db = *state;

    make_functions(db);
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        int64_t id;
        const char *rest = ways[i].sql;

        test_exec(db,
                  "SELECT awa.reset_storage(current_database()); SELECT awa.set_queue('default',"
                  " p_reset => true)");
        test_exec(db, "DELETE FROM awa.workers; SELECT awa.register_worker(7, 'w', '{default}')");
        id = insert(db);
        while (*rest != '\0') { /* each in a transaction of its own */
            size_t len = strcspn(rest, ";");

            test_exec(db, test_format("%.*s", (int)len, rest));
            rest += len + (rest[len] == ';');
        }
        if (strcmp(options_of(db, id), OPTIONS) != 0)
            fail_msg("%s: %s", ways[i].name, options_of(db, id));
    }
}

/* ---- max_run_ms -------------------------------------------------------------------------- */

static void
an_attempt_has_the_deadline_of_its_job_or_of_its_queue(void **state)
{
    PGconn *db = *state;

    test_exec(db, "SELECT awa.set_queue('default', p_deadline => '1 min')");
    test_exec(db, "SELECT awa.insert_job('plain'), awa.insert_job('short', p_options =>"
                  " '{\"max_run_ms\": 5000}'), awa.insert_job('plain'), awa.insert_job('long',"
                  " p_options => '{\"max_run_ms\": 3600000}'), awa.insert_job('short', p_options =>"
                  " '{\"max_run_ms\": 5000}')");
    test_exec(db, "SELECT awa.register_worker(7, 'w', '{default}')");
    assert_string_equal(
        test_text(db,
                  "SELECT string_agg(kind || ' ' || deadline_at - '2030-01-01'::timestamptz, ', '"
                  " ORDER BY pos) FROM awa.claim_jobs(7, 'default', 10, '2030-01-01')"),
        "plain 00:01:00, short 00:00:05, plain 00:01:00, long 01:00:00, short 00:00:05");
    /* a row for each deadline, and the view knows which is whose */
    assert_string_equal(test_text(db, "SELECT string_agg(n || ' ' || deadline_at -"
                                      " '2030-01-01'::timestamptz, ', ' ORDER BY deadline_at) FROM"
                                      " awa.claims WHERE n > 0"),
                        "2 00:00:05, 2 00:01:00, 1 01:00:00");
    assert_int_equal(test_int(db,
                              "SELECT count(*) FROM awa.jobs WHERE kind = 'short' AND deadline_at"
                              " = timestamptz '2030-01-01' + '5 s'"),
                     2);
}

static void
without_a_deadline_of_the_queue_a_job_may_have_one(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);

    test_exec(db, "SELECT awa.set_queue('default', p_deadline => '0 s')");
    (void)insert(db);
    (void)test_insert(db);
    assert_string_equal(test_text(worker,
                                  "SELECT string_agg(coalesce((deadline_at -"
                                  " '2030-01-01'::timestamptz)::text, 'none'), ' ' ORDER BY"
                                  " pos) FROM awa.claim_jobs(7, 'default', 9, '2030-01-01')"),
                        "00:00:05 none");
    assert_int_equal(test_int(db, "SELECT awa.expire_jobs(p_now => '2030-01-01 00:00:10')"), 1);
    assert_int_equal(test_count(db, "running"), 1);
}

/* Late entries in gaps are found by another search. */
static void
a_late_entry_has_its_own_deadline_too(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);
    PGconn *late = test_connect(db, "producer");

    test_lane(db, 2);
    test_exec(late, "BEGIN; SELECT awa.insert_job('late', p_options => '" OPTIONS "')");
    (void)test_insert(db);
    assert_int_equal(test_int(worker, "SELECT count(*) FROM awa.claim_jobs(7, 'default', 9)"), 1);
    test_exec(late, "COMMIT");
    (void)test_insert(db); /* a plain one, found after it by the same claim */
    assert_string_equal(test_text(worker, "SELECT string_agg(kind || ' ' || deadline_at -"
                                          " '2030-01-01'::timestamptz, ', ' ORDER BY pos) FROM"
                                          " awa.claim_jobs(7, 'default', 9, '2030-01-01')"),
                        "late 00:00:05, k 00:05:00");
    assert_string_equal(test_text(db, "SELECT deadline_at - '2030-01-01'::timestamptz FROM awa.jobs"
                                      " WHERE kind = 'late'"),
                        "00:00:05");
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_DB(a_plain_job_has_none),
        TEST_DB(every_door_takes_them),
        TEST_DB(a_door_refuses_what_it_does_not_know),
        TEST_DB(what_a_claim_relies_on_is_a_constraint),
        TEST_DB(they_go_wherever_the_job_goes),
        TEST_DB(an_attempt_has_the_deadline_of_its_job_or_of_its_queue),
        TEST_DB(without_a_deadline_of_the_queue_a_job_may_have_one),
        TEST_DB(a_late_entry_has_its_own_deadline_too),
    };

    return TEST_RUN(tests);
}
