/* SPDX-License-Identifier: MIT */
/*
 * Sessions that do not do their work are replaced, and maintenance that does not succeed is seen.
 */
#include "test_worker.h"

#include <inttypes.h>
#include <string.h>

/* ---- Ends that cannot be written --------------------------------------------------------- */

/*
 * From now on whoever closes a position meets an error of a code in table trouble, which may be
 * empty. The sequence counts those: it is not rolled back with them.
 */
static void
prepare_trouble(PGconn *db)
{
    test_exec(db, "CREATE TABLE trouble (code text); CREATE SEQUENCE refused;"
                  " GRANT SELECT ON trouble TO PUBLIC; GRANT USAGE ON refused TO PUBLIC;"
                  " CREATE FUNCTION meet_trouble() RETURNS trigger LANGUAGE plpgsql AS $$"
                  " DECLARE v_code text := (SELECT max(code) FROM public.trouble); BEGIN"
                  " IF v_code IS NOT NULL THEN PERFORM nextval('public.refused');"
                  " RAISE 'no luck' USING ERRCODE = v_code; END IF; RETURN NULL; END $$;"
                  " CREATE TRIGGER trouble BEFORE INSERT ON awa.closures"
                  " EXECUTE FUNCTION meet_trouble()");
}

static void
begin_trouble(PGconn *db, const char *code)
{
    test_exec(db, test_format("SELECT setval('refused', 1, false); INSERT INTO trouble VALUES"
                              " ('%s')",
                              code));
}

static void
end_trouble(PGconn *db)
{
    test_exec(db, "DELETE FROM trouble");
}

static void
wait_completed(PGconn *db, int n, int timeout_ms)
{
    test_wait_until(db,
                    test_format("SELECT count(*) = %d FROM awa.jobs WHERE state = 'completed'", n),
                    timeout_ms);
}

/* ---- Sessions that do not do their work -------------------------------------------------- */

#define WORKERS                                                                            \
    "FROM pg_stat_activity WHERE datname = current_database() AND usename = 'test_worker'" \
    " AND backend_type = 'client backend'"

static void
sessions_that_cannot_write_are_replaced(void **state)
{
    PGconn *db = *state;
    struct runs *runs = test_runs_new();
    const awa_kind kind = { .handler = test_run_counted, .userdata = runs };

    test_start(db, .kinds = &kind, .nkinds = 1);
    test_wait_until(db, "SELECT ok FROM awa.health() WHERE name = 'leader'", 10000);
    test_exec(
        db, test_format("ALTER DATABASE \"%s\" SET default_transaction_read_only = on", PQdb(db)));
    test_exec(db, "SELECT count(pg_terminate_backend(pid, 5000)) " WORKERS);
    test_wait_for(test_log_count("connect: the database gives sessions that are read only") == 1 &&
                      test_log_count("leader: the database gives sessions that are read") == 1,
                  10000);
    test_wait_until(db, "SELECT NOT ok FROM awa.health() WHERE name = 'leader'", 10000);
    test_exec(db,
              test_format("ALTER DATABASE \"%s\" RESET default_transaction_read_only", PQdb(db)));
    test_wait_until(db, "SELECT ok FROM awa.health() WHERE name = 'leader'", 5000);
    test_exec(db, "SELECT awa.insert_job('k', p_delay => '10 ms')");
    wait_completed(db, 1, 5000);
}

static void
a_session_whose_every_statement_fails_is_replaced(void **state)
{
    PGconn *db = *state;
    struct runs *runs = test_runs_new();
    const awa_kind kind = { .handler = test_run_counted, .userdata = runs };

    prepare_trouble(db);
    test_start(db, .kinds = &kind, .nkinds = 1, .no_leader = 1);
    begin_trouble(db, "25006"); /* at once */
    test_insert(db);
    test_wait_for(test_log_count("session for results: replacing it after 1 failures: ") == 1,
                  5000);
    end_trouble(db);
    wait_completed(db, 1, 10000);
    begin_trouble(db, "XX000"); /* after a while */
    test_insert(db);
    test_wait_for(test_log_count("session for results: replacing it after ") == 2, 20000);
    end_trouble(db);
    wait_completed(db, 2, 10000);
    test_each_ran_once(db, runs, 2);
}

static void
a_leader_whose_every_statement_fails_takes_another_session(void **state)
{
    PGconn *db = *state;
    const awa_kind kind = { .handler = test_run_counted, .userdata = test_runs_new() };

    test_start(db, .kinds = &kind, .nkinds = 1);
    test_wait_until(db, "SELECT ok FROM awa.health() WHERE name = 'leader'", 10000);
    test_exec(db, "ALTER FUNCTION awa.lead RENAME TO lead_away");
    test_wait_for(test_log_count("leader: replacing its session: leader_lead: function") == 1,
                  20000);
    test_exec(db, "ALTER FUNCTION awa.lead_away RENAME TO lead");
    test_wait_until(db, "SELECT ok FROM awa.health() WHERE name = 'leader'", 5000);
}

/* ---- Maintenance that does not succeed --------------------------------------------------- */

#define MAINTENANCE "SELECT ok, detail FROM awa.health() WHERE name = 'maintenance'"

/* As if the failures had begun, and ended, earlier. */
static void
let_time_pass(PGconn *db, const char *column, const char *by)
{
    test_exec(db, test_format("UPDATE awa.maintenance_tasks SET %s = %s - interval '%s'", column,
                              column, by));
}

static void
health_tells_which_task_fails_and_why(void **state)
{
    PGconn *db = *state;
    const awa_kind kind = { .handler = test_run_counted, .userdata = test_runs_new() };
    const char *got;

    test_start(db, .kinds = &kind, .nkinds = 1);
    test_wait_until(db,
                    "SELECT succeeded_at IS NOT NULL FROM awa.maintenance_tasks WHERE task ="
                    " 'ring_turn' UNION SELECT false ORDER BY 1 DESC LIMIT 1",
                    10000);
    assert_string_equal(test_rows(db, MAINTENANCE), "t|every task succeeds");
    test_exec(db, "CREATE FUNCTION awa.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE"
                  " 'out of order'; END $$; CREATE TRIGGER refuse BEFORE DELETE ON"
                  " awa.deferred_jobs EXECUTE FUNCTION awa.refuse()");
    test_exec(db, "SELECT awa.insert_job('k', p_delay => '10 ms')");
    test_wait_until(db,
                    "SELECT count(*) = 1 FROM awa.maintenance_tasks WHERE failing_since IS NOT"
                    " NULL",
                    10000);
    assert_string_equal(test_rows(db, MAINTENANCE), "t|every task succeeds"); /* it may pass */
    let_time_pass(db, "failing_since", "10 s");
    got = test_rows(db, MAINTENANCE);
    assert_non_null(strstr(got, "f|leader_promote has failed since "));
    assert_non_null(strstr(got, ": leader_promote: out of order"));
    test_exec(db, "DROP TRIGGER refuse ON awa.deferred_jobs; DROP FUNCTION awa.refuse()");
    wait_completed(db, 1, 10000);
    test_wait_until(db, "SELECT ok FROM awa.health() WHERE name = 'maintenance'", 5000);
}

/* It was of a leader that has gone, or of a task that nobody needs any more. */
static void
a_failure_that_is_not_repeated_has_passed(void **state)
{
    PGconn *worker = test_connect(*state, "worker"), *db = *state;

    test_exec(worker, "SELECT awa.note_maintenance('ring_turn', repeat('é', 5000))");
    let_time_pass(db, "failing_since", "10 s");
    assert_int_equal(test_int(db, "SELECT count(*) FROM awa.health() WHERE NOT ok AND name ="
                                  " 'maintenance'"),
                     1);
    let_time_pass(db, "failed_at", "3 min");
    assert_string_equal(test_rows(db, MAINTENANCE), "t|every task succeeds");
    test_exec(worker, "SELECT awa.note_maintenance('ring_turn', 'once more')");
    assert_string_equal(test_rows(db, "SELECT failing_since > now() - interval '5 s', succeeded_at,"
                                      " error FROM awa.maintenance_tasks"),
                        "t||once more");
    test_exec(worker, "SELECT awa.note_maintenance('ring_turn')");
    assert_string_equal(test_rows(db, "SELECT failing_since, succeeded_at IS NOT NULL FROM"
                                      " awa.maintenance_tasks"),
                        "|t");
}

/* Some tasks run several times a second. */
static void
that_a_task_goes_on_as_before_is_noted_once_a_minute(void **state)
{
    PGconn *db = *state;
    const awa_kind kind = { .handler = test_run_counted, .userdata = test_runs_new() };

    test_exec(db, "CREATE SEQUENCE notes; GRANT USAGE ON notes TO awa_owner; CREATE FUNCTION"
                  " count_note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM"
                  " nextval('public.notes'); RETURN NULL; END $$; CREATE TRIGGER count AFTER INSERT"
                  " OR UPDATE ON awa.maintenance_tasks FOR EACH ROW WHEN (NEW.task ="
                  " 'leader_promote') EXECUTE FUNCTION count_note()");
    test_start(db, .kinds = &kind, .nkinds = 1);
    for (int i = 1; i <= 5; i++) {
        test_exec(db, "SELECT awa.insert_job('k', p_delay => '10 ms')");
        wait_completed(db, i, 10000);
    }
    assert_int_equal(test_int(db, "SELECT last_value FROM notes"), 1);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_WORKER(sessions_that_cannot_write_are_replaced),
        TEST_WORKER(a_session_whose_every_statement_fails_is_replaced),
        TEST_WORKER(a_leader_whose_every_statement_fails_takes_another_session),
        TEST_WORKER(health_tells_which_task_fails_and_why),
        TEST_WORKER(a_failure_that_is_not_repeated_has_passed),
        TEST_WORKER(that_a_task_goes_on_as_before_is_noted_once_a_minute),
    };

    return TEST_RUN(tests);
}
