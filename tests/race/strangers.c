/* SPDX-License-Identifier: MIT */
/*
 * Who has no right here holds up nobody: neither a login without any role of ours, which can take
 * every advisory lock of the database, nor a worker that knows of another only what all may know.
 */
#include "test_jobs.h"

#include <inttypes.h>
#include <string.h>

enum { SECRET = 987654321 };

/* All that an older engine used, all that this one uses, and the numbers of workers. */
static PGconn *
take_every_lock(PGconn *db)
{
    PGconn *stranger = test_connect(db, "stranger");

    /* of the sessions that begin after this */
    test_exec(db, test_format("ALTER DATABASE %s SET statement_timeout = '5s'", PQdb(db)));
    test_exec(stranger, "SELECT pg_advisory_lock(c, k) FROM generate_series(1635213569, 1635213574)"
                        " AS c, generate_series(0, 200) AS k");
    test_exec(stranger, "SELECT pg_advisory_lock(k) FROM generate_series(-200, 200) AS k");
    test_exec(stranger, "SELECT pg_advisory_lock(1635213570, k) FROM generate_series(201, 1023) AS"
                        " k");
    return stranger;
}

static void
nobody_waits_for_a_stranger(void **state)
{
    static const struct {
        const char *role, *sql, *want;
    } steps[] = {
        { "producer", "SELECT awa.insert_job('k')", "1" },
        { "producer", "SELECT count(*) FROM awa.insert_jobs('{k,k,k}')", "3" },
        { "producer", "SELECT count(*) FROM awa.insert_jobs('{k,k}', p_queues => '{fresh,fresh}')",
          "2" },
        { "bulk", "SELECT count(*) FROM awa.reserve_positions('{other}', '{2}', '{NULL}', '{1}')",
          "1" },
        { "worker", "SELECT awa.register_worker(7, 'w', '{default}')", "7" },
        { "worker", "SELECT term FROM awa.lead(7)", "1" },
        { "worker", "SELECT known FROM awa.heartbeat('{7}', '{default}', p_session => true)",
          "{7}" },
        { "worker", "SELECT count(*) FROM awa.claim_jobs(7, 'default', 2)", "2" },
        { "worker",
          "SELECT isempty(awa.complete_jobs(7, '{0}', '{1}',"
          " '{\"{[17592186044416,17592186044416]}\"}'))",
          "f" },
        { "operator", "SELECT awa.cancel_job(2)", "t" },
        { "operator", "SELECT awa.drain_queue('default')", "2" },
        { "operator", "DELETE FROM awa.jobs WHERE id = 1 RETURNING id", "1" },
        { "operator", "SELECT changed FROM awa.retry_failed(p_all => true)", "0" },
        { "operator", "SELECT count(*) FROM awa.rebuild_terminal_counters(true)", "1" },
        { "worker", "SELECT awa.rescue_jobs()", "0" },
        { "worker", "SELECT awa.expire_jobs()", "0" },
        { "worker", "SELECT awa.sweep_gaps()", "0" },
        { "worker", "SELECT opened FROM awa.turn_ring(now() + interval '1 h')", "1" },
        { "worker", "SELECT awa.checkpoint_heads(0::smallint)", "0" },
        { "worker", "SELECT awa.carry_forward(0::smallint)", "2" },
        { "worker", "SELECT awa.prune_slot(0::smallint)", "pruned" },
        { "worker", "SELECT coalesce(term, 0) FROM awa.lead(7, p_resign => true)", "0" },
        { "worker", "SELECT awa.deregister_worker(7)", "" },
        { "operator", "SELECT awa.reset_storage(current_database())", "" },
    };
    PGconn *db = *state;

    take_every_lock(db);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        PGconn *conn = test_connect(db, steps[i].role);
        const char *got = test_rows(conn, steps[i].sql);

        if (strcmp(got, steps[i].want) != 0)
            fail_msg("%s: %s", steps[i].sql, got);
    }
}

/* For a stranger who has the lock of its session a dead worker is rescued later: after its lease.
 */
static void
a_stranger_puts_a_rescue_off_to_the_end_of_the_lease(void **state)
{
    PGconn *db = *state;
    PGconn *worker, *leader = test_connect(db, "worker");
    int64_t id = test_insert(db);

    take_every_lock(db);
    worker = test_worker(db, 7);
    test_claim_one(worker, 7);
    test_exec(db, test_format("SELECT pg_terminate_backend(%d, 10000)", PQbackendPID(worker)));
    assert_int_equal(test_int(leader, "SELECT awa.rescue_jobs(clock_timestamp() + '14 s')"), 0);
    assert_int_equal(test_int(leader, "SELECT awa.rescue_jobs(clock_timestamp() + '16 s')"), 1);
    assert_string_equal(test_state(db, id), "available");
}

/* Its number stands in lists, in notifications, in errors. Whoever knows that acts for nobody. */
static void
the_number_of_a_worker_is_not_its_secret(void **state)
{
    static const struct {
        const char *sql, *want; /* a SQLSTATE, or rows */
    } tries[] = {
        { "SELECT awa.claim_jobs(<worker>, 'default', 1)", "JQ003" },
        { "SELECT awa.complete_jobs(<worker>, '{<slot>}', '{<claim>}', '{\"<run>\"}')", "{}" },
        { "SELECT state FROM awa.close_jobs(<worker>, '{<slot>}', '{<claim>}', '{<pos>}',"
          " '{failed}')",
          "stale" },
        { "SELECT state FROM awa.close_jobs(<worker>, '{<slot>}', '{<claim>}', '{<pos>}',"
          " '{completed}', NULL, '{1}')",
          "stale" },
        { "SELECT awa.complete_job(<worker>, <claim>, <pos>)", "JQ003" },
        { "SELECT known, lost = '<run>' FROM awa.heartbeat('{<worker>}', '{}', '{<claim>}',"
          " '{\"<run>\"}', true)",
          "{}|t" },
        { "SELECT awa.reconcile_worker(<worker>, '{}')", "0" },
        { "SELECT coalesce(term, 0) FROM awa.lead(<worker>)", "0" },
        { "SELECT awa.deregister_worker(<worker>)", "" },
    };
    PGconn *db = *state;
    PGconn *owner = test_connect(db, "worker"), *other = test_worker(db, 1);
    struct attempt a, own;
    int64_t number;

    test_number(db, 7);
    number =
        test_int(owner, test_format("SELECT awa.register_worker(%d, 'w', '{default}')", SECRET));
    assert_int_equal(number, 7);
    test_insert(db);
    a = own = test_claim_one(owner, SECRET);
    test_insert(db);
    a.worker = number;
    for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++) {
        const char *got;

        test_send(other, test_attempt_sql(tries[i].sql, &a));
        got = test_outcome(other);
        if (strcmp(got, tries[i].want) != 0)
            fail_msg("%s: %s", tries[i].sql, got);
    }
    assert_string_equal(test_rows(db, test_format("SELECT worker_id FROM awa.jobs WHERE id ="
                                                  " %" PRId64 " AND state = 'running'",
                                                  a.id)),
                        "7");
    assert_string_equal(test_rows(db, "SELECT ended_at IS NULL, queues FROM awa.workers WHERE"
                                      " worker_id = 7"),
                        "t|{default}");
    assert_string_not_equal(test_text(owner, test_complete_sql(&own)), "{}");
}

/* What is kept of a secret is not enough to act by it, and nobody but the owner reads that. */
static void
a_secret_is_written_down_nowhere(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_connect(db, "worker");

    test_insert(db);
    test_exec(worker, test_format("SELECT awa.register_worker(%d, 'w', '{default}')", SECRET));
    test_claim_one(worker, SECRET);
    test_exec(worker, test_format("SELECT awa.lead(%d)", SECRET));
    test_exec(worker, test_format("SELECT awa.heartbeat('{%d}')", SECRET));
    assert_string_equal(
        test_rows(db, test_format("SELECT c.relname FROM pg_class AS c WHERE c.relnamespace ="
                                  " 'awa'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND"
                                  " strpos(table_to_xml(c.oid, true, true, '')::text, '%d') > 0",
                                  SECRET)),
        "");
    assert_string_equal(test_text(db, test_format("SELECT secret = sha256(int8send(%d)) FROM"
                                                  " awa.workers",
                                                  SECRET)),
                        "t");
    test_expect_error(worker, "42501", "SELECT secret FROM awa.workers");
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_DB(nobody_waits_for_a_stranger),
        TEST_DB(a_stranger_puts_a_rescue_off_to_the_end_of_the_lease),
        TEST_DB(the_number_of_a_worker_is_not_its_secret),
        TEST_DB(a_secret_is_written_down_nowhere),
    };

    return TEST_RUN(tests);
}
