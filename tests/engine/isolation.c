/* SPDX-License-Identifier: MIT */
/* Callers whose transactions are not READ COMMITTED: what works there, and what refuses. */
#include "test_jobs.h"

#include <string.h>

static const char *const levels[] = { "REPEATABLE READ", "SERIALIZABLE" };

enum { LEVELS = 2 };

/* ---- Producers --------------------------------------------------------------------------- */

/* Three jobs, through the three doors. */
static void
insert_through_every_door(PGconn *conn)
{
    const awa_job_options job = *AWA_JOB(.kind = "k");
    awa_error err;

    test_ok(awa_job_insert(conn, &job, NULL, &err), &err);
    test_ok(awa_jobs_insert(conn, &job, 1, NULL, &err), &err);
    test_ok(awa_jobs_copy(conn, &job, 1, NULL, &err), &err);
}

static void
a_producer_whose_snapshot_is_older_than_the_lane_loses_nothing(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);

    for (size_t i = 0; i < LEVELS; i++) {
        PGconn *old = test_connect(db, "bulk");

        test_exec(db, "DELETE FROM awa.lanes");
        test_exec(old, test_format("BEGIN ISOLATION LEVEL %s; SELECT 1 FROM pg_class LIMIT 1",
                                   levels[i]));
        test_insert(db);
        insert_through_every_door(old);
        test_insert(db);
        test_exec(old, "COMMIT");

        struct attempt all[16];
        int n = test_claim(worker, 7, 16, all);

        while (n < 5 && test_int(db, "SELECT count(*) FROM awa.jobs WHERE state = 'available'") > 0)
            n += test_claim(worker, 7, 16, all); /* another lane */
        assert_int_equal(n, 5);
        assert_int_equal(test_claim(worker, 7, 16, all), 0);
    }
}

static void
serializable_producers_do_not_fail_each_other(void **state)
{
    enum { PRODUCERS = 4, ROUNDS = 5 };
    PGconn *db = *state, *producers[PRODUCERS];

    test_lane(db, 2);
    for (int i = 0; i < PRODUCERS; i++)
        producers[i] = test_connect(db, "bulk");
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < PRODUCERS; i++)
            test_exec(producers[i], "BEGIN ISOLATION LEVEL SERIALIZABLE");
        for (int i = 0; i < PRODUCERS; i++)
            insert_through_every_door(producers[i]);
        for (int i = 0; i < PRODUCERS; i++)
            test_exec(producers[i], "COMMIT");
    }
    assert_int_equal(test_count(db, "available"), 3 * PRODUCERS * ROUNDS);
}

/* ---- Who decides under a lock ------------------------------------------------------------ */

static void
a_cancel_and_a_retry_refuse_an_old_snapshot(void **state)
{
    PGconn *op = test_connect(*state, "operator");
    int64_t id = test_insert(*state);
    awa_error err;

    for (size_t i = 0; i < LEVELS; i++) {
        test_exec(op, test_format("BEGIN ISOLATION LEVEL %s", levels[i]));
        assert_int_equal(awa_job_cancel(op, id, NULL, &err), AWA_EINVAL);
        assert_non_null(strstr(err.message, "want isolation read committed"));
        test_exec(op, "ROLLBACK");
        test_exec(op, test_format("BEGIN ISOLATION LEVEL %s", levels[i]));
        assert_int_equal(awa_job_retry(op, id, &err), AWA_EINVAL);
        assert_non_null(strstr(err.message, "want isolation read committed"));
        test_exec(op, "ROLLBACK");
    }
    assert_string_equal(test_state(*state, id), "available");
}

static void
the_maintenance_refuses_an_old_snapshot(void **state)
{
    static const char *const calls[] = { "sweep_gaps()",
                                         "rescue_jobs()",
                                         "reconcile_worker(7, '{}')",
                                         "checkpoint_heads(1::smallint)",
                                         "carry_forward(1::smallint)",
                                         "prune_slot(1::smallint)" };
    PGconn *worker = test_connect(*state, "worker");

    for (size_t i = 0; i < LEVELS; i++)
        for (size_t c = 0; c < sizeof calls / sizeof calls[0]; c++) {
            test_exec(worker, test_format("BEGIN ISOLATION LEVEL %s", levels[i]));
            test_expect_error(worker, "JQ001", test_format("SELECT awa.%s", calls[c]));
            test_exec(worker, "ROLLBACK");
        }
}

static awa_outcome
complete_in_transaction(awa_attempt *job, void *userdata)
{
    PGconn *conn = NULL;
    awa_error err;
    AUTO(pgresult) PGresult *res = NULL;

    (void)userdata;
    if (awa_attempt_transaction(job, &conn, &err) != AWA_OK)
        return AWA_FAIL;
    res = PQexec(conn, "INSERT INTO effects VALUES (current_setting('transaction_isolation'))");
    return PQresultStatus(res) == PGRES_COMMAND_OK ? AWA_COMPLETE : AWA_FAIL;
}

static void
a_worker_works_whatever_the_default_is(void **state)
{
    PGconn *db = *state;
    const awa_kind kind = { .handler = complete_in_transaction };
    const char *dsn = test_format("%s options='-c default_transaction_isolation=serializable'",
                                  test_dsn(db, "worker"));
    int64_t id = test_insert(db);
    awa_worker *worker = NULL;
    awa_error err;

    test_exec(db, "CREATE TABLE effects (isolation text); GRANT INSERT ON effects TO test_worker");
    test_ok(awa_worker_new(AWA_WORKER(.conninfo = dsn, .kinds = &kind, .nkinds = 1, .threads = 1),
                           &worker, &err),
            &err);
    test_ok(awa_worker_start(worker, &err), &err);
    test_wait_until(
        db, test_format("SELECT state = 'completed' FROM awa.jobs WHERE id = %lld", (long long)id),
        10000);
    test_ok(awa_worker_stop(worker, 10000, &err), &err);
    (void)awa_worker_free(worker);
    assert_string_equal(test_text(db, "SELECT isolation FROM effects"), "serializable");
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_DB(a_producer_whose_snapshot_is_older_than_the_lane_loses_nothing),
        TEST_DB(serializable_producers_do_not_fail_each_other),
        TEST_DB(the_maintenance_refuses_an_old_snapshot),
        TEST_DB(a_cancel_and_a_retry_refuse_an_old_snapshot),
        TEST_DB(a_worker_works_whatever_the_default_is),
    };

    return TEST_RUN(tests);
}
