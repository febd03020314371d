/* SPDX-License-Identifier: MIT */
/*
 * A worker that cannot do its work, or cannot say that it did: it claims nothing, says so, waits
 * longer each time, and goes on where it was, with nothing lost.
 */
#include "test_worker.h"

#include <inttypes.h>
#include <string.h>

enum { LARGE = 1040 * 1000 }; /* bytes of a job: 64 of them leave no room for one more */

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
wait_refused(PGconn *db, int n, int timeout_ms)
{
    test_wait_until(db, test_format("SELECT last_value >= %d FROM refused", n), timeout_ms);
}

static void
wait_completed(PGconn *db, int n, int timeout_ms)
{
    test_wait_until(db,
                    test_format("SELECT count(*) = %d FROM awa.jobs WHERE state = 'completed'", n),
                    timeout_ms);
}

/* Counts the run, and leaves the id of the job as its output, unless its kind is "plain". */
static awa_outcome
say_id(awa_attempt *job, void *runs)
{
    char text[24];

    snprintf(text, sizeof text, "%" PRId64, awa_attempt_id(job));
    if (strcmp(awa_attempt_kind(job), "plain") != 0)
        awa__ignore(awa_attempt_set_output(job, text, strlen(text)));
    return test_run_counted(job, runs);
}

static void
an_error_that_passes_costs_no_job_its_words_or_an_attempt(void **state)
{
    static const char *const codes[] = { "53100", "53200", "53300", "55P03", "40001", "40P01",
                                         "57014", "58030", "25006", "XX000", "42883" };
    enum { CODES = sizeof codes / sizeof codes[0] };
    PGconn *db = *state;
    struct runs *runs = test_runs_new();
    const awa_kind kind = { .handler = say_id, .userdata = runs };

    prepare_trouble(db);
    test_start(db, .kinds = &kind, .nkinds = 1, .threads = 2);
    for (int i = 0; i < CODES; i++) {
        begin_trouble(db, codes[i]);
        test_exec(db, "SELECT awa.insert_jobs('{a,b,plain,c,plain}')");
        wait_refused(db, 2, 10000);
        assert_int_equal(test_count(db, "completed"), 5 * i);
        end_trouble(db);
        wait_completed(db, 5 * (i + 1), 10000);
    }
    test_each_ran_once(db, runs, 5 * CODES);
    assert_int_equal(
        test_int(db, "SELECT count(*) FROM awa.jobs WHERE attempt <> 1 OR errors IS NOT NULL"
                     " OR output IS DISTINCT FROM CASE WHEN kind <> 'plain' THEN to_jsonb(id) END"),
        0);
    assert_int_equal(test_log_count("what it had to say was refused"), 0);
}

static void
while_ends_cannot_be_written_nothing_is_claimed(void **state)
{
    PGconn *db = *state;
    struct runs *runs = test_runs_new();
    const awa_kind kind = { .handler = say_id, .userdata = runs };
    awa_worker *w;
    int64_t began;

    prepare_trouble(db);
    begin_trouble(db, "53100");
    test_exec(db, "SELECT awa.insert_job('a')");
    w = test_start(db, .kinds = &kind, .nkinds = 1, .threads = 2, .no_leader = 1);
    test_wait_for(test_log_count("close: jobs_close: no luck") == 1, 10000);
    began = now_ms();
    test_exec(db, "SELECT awa.insert_jobs(array_fill('a'::text, '{20}'))");
    wait_refused(db, 6, 20000); /* after pauses of at least 100, 200, 400, 800 and 1600 ms */
    if (now_ms() - began < 2500)
        fail_msg("6 tries within %" PRId64 " ms", now_ms() - began);
    assert_int_equal(test_stats(w).claimed, 1);
    assert_int_equal(test_count(db, "available"), 20);
    assert_int_equal(test_log_count("close: jobs_close: no luck"), 1);
    assert_int_equal(test_log_count("until they are, no more are claimed"), 1);
    end_trouble(db);
    wait_completed(db, 21, 10000);
    test_each_ran_once(db, runs, 21);
    test_wait_for(test_log_count("ends are written again") == 1, 5000);
}

/* The words that are refused for what they are stay in the log. */
static awa_outcome
say_poison(awa_attempt *job, void *runs)
{
    awa__ignore(awa_attempt_set_output(job, "[\"poison\",\n1]", 13));
    return test_run_counted(job, runs);
}

static void
words_that_are_refused_for_good_are_left_in_the_log(void **state)
{
    PGconn *db = *state;
    struct runs *runs = test_runs_new();
    const awa_kind kinds[] = { { "k", say_poison, runs }, { NULL, say_id, runs } };

    test_exec(db, "CREATE OR REPLACE FUNCTION awa.read_output(p_output text) RETURNS jsonb LANGUAGE"
                  " plpgsql IMMUTABLE AS $$ BEGIN IF p_output LIKE '%poison%' THEN RAISE 'bad row'"
                  " USING ERRCODE = '54000'; END IF; RETURN p_output::jsonb; END $$");
    test_exec(db, "SELECT awa.insert_jobs('{a,k,b}')");
    test_start(db, .kinds = kinds, .nkinds = 2, .threads = 1);
    wait_completed(db, 3, 10000);
    test_each_ran_once(db, runs, 3);
    assert_string_equal(test_rows(db, "SELECT output FROM awa.jobs ORDER BY id"), "1  3");
    assert_int_equal(test_log_count("refused: bad row; output: [\"poison\", 1]"), 1);
}

/* Its worker gives it up, and meets it again at once: with growing pauses. */
static void
a_job_that_gets_no_answer_does_not_go_round_at_full_speed(void **state)
{
    PGconn *db = *state;
    struct runs *runs = test_runs_new();
    const awa_kind kind = { .handler = say_id, .userdata = runs };
    int64_t began;

    test_exec(db, "CREATE OR REPLACE FUNCTION awa.closings(p_held int8multirange, p_slots"
                  " smallint[], p_positions bigint[], p_outcomes text[], p_errors text[], p_outputs"
                  " text[], p_delays interval[], p_now timestamptz) RETURNS awa.closing[] LANGUAGE"
                  " plpgsql AS $$ BEGIN RAISE 'never' USING ERRCODE = '22023'; END $$");
    test_exec(db, "SELECT awa.insert_job('k', p_max_attempts => 1000)");
    test_start(db, .kinds = &kind, .nkinds = 1, .threads = 1,
               .queues = (const char *[]){ "another" }, .nqueues = 1); /* leads on */
    test_wait_until(db, "SELECT ok FROM awa.health() WHERE name = 'leader'", 10000);
    began = now_ms();
    test_start(db, .kinds = &kind, .nkinds = 1, .threads = 1, .no_leader = 1);
    test_wait_for(atomic_load(&runs->all) >= 1, 10000);
    test_wait_for(now_ms() - began > 4000 || atomic_load(&runs->all) > 6, 10000);
    if (atomic_load(&runs->all) > 6)
        fail_msg("it ran %d times in %" PRId64 " ms", atomic_load(&runs->all), now_ms() - began);
}

/* ---- Settings of the user's -------------------------------------------------------------- */

static awa_outcome
end_by_kind(awa_attempt *job, void *userdata)
{
    const char *kind = awa_attempt_kind(job);

    (void)userdata;
    if (strcmp(kind, "output") == 0)
        awa__ignore(awa_attempt_set_output(job, "\"a\\\\b\"", 6));
    if (strcmp(kind, "output") == 0 || strcmp(kind, "plain") == 0)
        return AWA_COMPLETE;
    if (strcmp(kind, "snooze") == 0) {
        awa_attempt_set_delay(job, 3600000);
        return AWA_SNOOZE;
    }
    awa__ignore(awa_attempt_set_error(job, "NULL \\ and 'void'"));
    return AWA_RETRY;
}

static const char ends_as_usual[] = "output|completed|1|\"a\\\\b\"|"
                                    " plain|completed|1||"
                                    " retry|retryable|1||NULL \\ and 'void'"
                                    " snooze|scheduled|0||";

static void
run_each_kind(PGconn *db, const char *setting, bool pooled)
{
    const awa_kind kind = { .handler = end_by_kind };
    const char *got;
    awa_worker *w;

    test_exec(db, test_format("ALTER DATABASE \"%s\" SET %s", PQdb(db), setting));
    test_exec(db, test_format("SELECT awa.insert_jobs('{output,retry,snooze,plain}', p_queues =>"
                              " array_fill($q$%s$q$::text, '{4}'))",
                              setting));
    w = test_start(db, .kinds = &kind, .nkinds = 1, .threads = 1, .pooled = pooled,
                   .queues = (const char *[]){ setting }, .nqueues = 1);
    test_wait_for(test_stats(w).completed + test_stats(w).failed == 4, 20000);
    got = test_rows(db, test_format("SELECT kind, state, attempt, output, errors -> 0 ->> 'error'"
                                    " FROM awa.jobs WHERE queue = $q$%s$q$ ORDER BY kind",
                                    setting));
    if (strcmp(got, ends_as_usual) != 0)
        fail_msg("%s: got %s", setting, got);
    test_free_worker(w);
    test_exec(db, test_format("ALTER DATABASE \"%s\" RESET %.*s", PQdb(db),
                              (int)strcspn(setting, " "), setting));
}

static void
settings_of_the_database_do_no_harm(void **state)
{
    static const char *const settings[] = {
        "array_nulls = off",
        "datestyle = 'SQL, DMY'",
        "intervalstyle = 'sql_standard'",
        "bytea_output = 'escape'",
        "standard_conforming_strings = off",
        "timezone = 'Asia/Kathmandu'",
        "extra_float_digits = -15",
        "transform_null_equals = on",
        "quote_all_identifiers = on",
        "default_transaction_isolation = 'serializable'",
        "default_transaction_deferrable = on",
        "jit_above_cost = 0",
        "plan_cache_mode = 'force_custom_plan'",
        "search_path = ''",
        "row_security = off",
        "exit_on_error = on",
        "client_min_messages = 'debug1'",
        "lock_timeout = '1ms'",
        "idle_in_transaction_session_timeout = '1ms'",
        "idle_session_timeout = '1s'",
    };

    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
        run_each_kind(*state, settings[i], false);
    run_each_kind(*state, "array_nulls = false", true); /* where awa sets nothing */
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

/* ---- Large jobs -------------------------------------------------------------------------- */

/* A sanitizer keeps what was freed for a while. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BYTES_MAX INT64_MAX
#else
#define BYTES_MAX 150000000
#endif

static int64_t
resident_bytes(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    if (file == NULL || fscanf(file, "%*d %ld", &pages) != 1)
        fail_msg("no statm");
    (void)fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

static void
insert_large(PGconn *db, const char *kind, int n)
{
    test_exec(db, test_format("SELECT awa.insert_jobs(array_fill('%s'::text, '{%d}'),"
                              " array_fill('\"' || repeat('x', %d) || '\"', '{%d}'))",
                              kind, n, LARGE, n));
}

static void
a_worker_holds_a_bounded_number_of_bytes(void **state)
{
    enum { JOBS = 150, MOST = 64 + 2 };
    PGconn *db = *state;
    struct runs *runs = test_runs_new();
    struct hold *hold = test_hold_new();
    const awa_kind kinds[] = { { "k", test_run_counted, runs }, { "held", test_hold, hold } };
    int64_t before, most = 0, bytes = 0;
    awa_worker *w;

    insert_large(db, "held", 2);
    insert_large(db, "k", JOBS);
    before = resident_bytes();
    w = test_start(db, .kinds = kinds, .nkinds = 2, .threads = 2, .prefetch = 500);
    test_wait_for(atomic_load(&hold->inside) == 2, 10000);
    do {
        awa_worker_stats stats = test_stats(w);

        most = stats.running + stats.waiting > most ? stats.running + stats.waiting : most;
        bytes = resident_bytes() - before > bytes ? resident_bytes() - before : bytes;
        if (most > MOST / 2)
            test_hold_open(hold);
    } while (atomic_load(&runs->all) < JOBS && usleep(500) == 0);
    if (most > MOST || bytes > BYTES_MAX)
        fail_msg("it held %" PRId64 " jobs in %" PRId64 " bytes", most, bytes);
    wait_completed(db, JOBS + 2, 10000);
}

/* Not so short that threads take many at once. */
static awa_outcome
run_for_a_while(awa_attempt *job, void *runs)
{
    (void)usleep(500);
    return test_run_counted(job, runs);
}

/* A claim's memory is free once its last job has ended. */
static void
a_long_job_among_large_ones_keeps_no_thread_idle(void **state)
{
    enum { JOBS = 150 };
    PGconn *db = *state;
    struct runs *runs = test_runs_new();
    struct hold *hold = test_hold_new();
    const awa_kind kinds[] = { { "k", run_for_a_while, runs }, { "held", test_hold, hold } };

    insert_large(db, "k", 30);
    insert_large(db, "held", 1);
    insert_large(db, "k", JOBS - 30);
    test_start(db, .kinds = kinds, .nkinds = 2, .threads = 2, .prefetch = 500);
    test_wait_for(atomic_load(&runs->all) == JOBS, 30000);
    assert_int_equal(atomic_load(&hold->inside), 1);
    test_hold_open(hold);
    wait_completed(db, JOBS + 1, 10000);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_WORKER(an_error_that_passes_costs_no_job_its_words_or_an_attempt),
        TEST_WORKER(while_ends_cannot_be_written_nothing_is_claimed),
        TEST_WORKER(words_that_are_refused_for_good_are_left_in_the_log),
        TEST_WORKER(a_job_that_gets_no_answer_does_not_go_round_at_full_speed),
        TEST_WORKER(settings_of_the_database_do_no_harm),
        TEST_WORKER(sessions_that_cannot_write_are_replaced),
        TEST_WORKER(a_session_whose_every_statement_fails_is_replaced),
        TEST_WORKER(a_leader_whose_every_statement_fails_takes_another_session),
        TEST_WORKER(health_tells_which_task_fails_and_why),
        TEST_WORKER(a_failure_that_is_not_repeated_has_passed),
        TEST_WORKER(that_a_task_goes_on_as_before_is_noted_once_a_minute),
        TEST_WORKER(a_worker_holds_a_bounded_number_of_bytes),
        TEST_WORKER(a_long_job_among_large_ones_keeps_no_thread_idle),
    };

    return TEST_RUN(tests);
}
