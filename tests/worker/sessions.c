/* SPDX-License-Identifier: MIT */
/* Sessions that break, in whatever moment: nothing is lost, and nothing runs twice. */
#include "test_worker.h"

#include <inttypes.h>
#include <string.h>

#include "test_proxy.h"

#define SESSIONS                                                                           \
    "FROM pg_stat_activity WHERE datname = current_database() AND usename = 'test_worker'" \
    " AND backend_type = 'client backend'"

static void
insert_many(PGconn *db, int n)
{
    test_exec(db, test_format("SELECT awa.insert_jobs(array_fill('k'::text, '{%d}'))", n));
}

static void
wait_completed(PGconn *db, int n, int timeout_ms)
{
    test_wait_until(db,
                    test_format("SELECT count(*) = %d FROM awa.jobs WHERE state = 'completed'", n),
                    timeout_ms);
}

/*
 * A worker with two sessions for jobs and one for the leader; some of them are terminated, again
 * and again, while jobs come and go.
 */
static void
terminate_while_working(PGconn *db, const char *victims)
{
    enum { ROUNDS = 6, EACH = 60 };
    struct runs *runs = test_runs_new();
    const awa_kind kind = { .handler = test_run_counted, .userdata = runs };

    test_start(db, .kinds = &kind, .nkinds = 1, .threads = 4, .batch = 5, .prefetch = 20);
    for (int i = 0; i < ROUNDS; i++) {
        insert_many(db, EACH);
        test_wait_until(db, "SELECT count(*) = 3 " SESSIONS, 10000);
        test_exec(db, test_format("SELECT pg_terminate_backend(pid) FROM (SELECT pid,"
                                  " row_number() OVER (ORDER BY backend_start, pid) - 1 AS n"
                                  " " SESSIONS ") AS s WHERE %s",
                                  victims));
    }
    wait_completed(db, ROUNDS * EACH, 30000);
    test_each_ran_once(db, runs, ROUNDS * EACH);
}

static void
each_session_may_break_at_any_time(void **state)
{
    terminate_while_working(*state, "n = floor(random() * 3)");
}

static void
all_sessions_may_break_at_once(void **state)
{
    terminate_while_working(*state, "true");
}

/* ---- Answers that are lost --------------------------------------------------------------- */

#define AT_THE_GATE                                                                           \
    "SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND classid = 7 AND objid" \
    " = 7 AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname ="        \
    " current_database())"

/* A claim that commits, but its answer never arrives. */
static void
lose_the_answer_to_a_claim(PGconn *db, awa_worker *w)
{
    test_gate(db, "claim_lane", "v_search.claim_id := awa.write_claim");
    test_gate_shut(db);
    /* So that the claim at the gate is one that sees the job. */
    test_exec(db, "SELECT awa.pause_queue('default')");
    test_wait_for(test_stats(w).in_doubt == 0, 10000);
    test_insert(db);
    test_exec(db, "SELECT awa.resume_queue('default')");
    test_wait_until(db, AT_THE_GATE, 10000);
    test_proxy_mute();
    test_gate_open(db);
    test_wait_until(db, "SELECT state = 'running' FROM awa.jobs ORDER BY id DESC LIMIT 1", 10000);
    assert_int_equal(test_stats(w).in_doubt, 1);
    test_ungate(db, "claim_lane");
    test_proxy_cut(false);
}

/* Nobody else has to notice; and that attempt never was. */
static void
a_job_whose_claim_was_not_heard_of_runs(void **state)
{
    PGconn *db = *state;
    struct runs *runs = test_runs_new();
    const awa_kind kind = { .handler = test_run_counted, .userdata = runs };
    awa_worker *w;

    test_exec(db, "UPDATE awa.settings SET worker_grace = '1 h', worker_lease = '1 h'");
    w = test_start(db, .conninfo = test_proxy_start(db, "worker"), .kinds = &kind, .nkinds = 1,
                   .no_leader = 1);
    lose_the_answer_to_a_claim(db, w);
    wait_completed(db, 1, 10000);
    test_each_ran_once(db, runs, 1);
    assert_string_equal(test_rows(db, "SELECT attempt, errors FROM awa.jobs"), "1|");
    assert_int_equal(test_log_count("the answer to a claim was lost; jobs given back: 1"), 1);
    test_wait_for(test_stats(w).in_doubt == 0, 10000);
    test_wait_until(db, "SELECT count(*) = 1 FROM awa.workers WHERE ended_at IS NULL", 10000);
}

/*
 * The worker goes on with what it runs, under the number by which it claimed it; nor does the lost
 * job wait for that.
 */
static void
a_claim_that_was_not_heard_of_does_not_end_other_jobs(void **state)
{
    PGconn *db = *state;
    struct hold *hold = test_hold_new();
    const awa_kind kind = { .handler = test_hold, .userdata = hold };
    awa_worker *w;

    test_insert(db);
    w = test_start(db, .conninfo = test_proxy_start(db, "worker"), .kinds = &kind, .nkinds = 1,
                   .threads = 2, .prefetch = -1);
    test_wait_for(atomic_load(&hold->inside) == 1, 10000);
    lose_the_answer_to_a_claim(db, w);
    test_wait_for(atomic_load(&hold->inside) == 2, 10000);
    test_hold_open(hold);
    wait_completed(db, 2, 10000);
    assert_string_equal(test_rows(db, "SELECT attempt, errors FROM awa.jobs"), "1| 1|");
    assert_int_equal(atomic_load(&hold->entered), 2);
    assert_int_equal(atomic_load(&hold->cancelled), 0);
}

/* The end of a job is told once more; the second time it changes nothing. */
static void
an_end_whose_answer_was_lost_is_told_again(void **state)
{
    PGconn *db = *state;
    struct runs *runs = test_runs_new();
    struct hold *hold = test_hold_new();
    const awa_kind kinds[] = { { "k", test_run_counted, runs }, { "held", test_hold, hold } };
    awa_worker *w;

    test_exec(db, "SELECT awa.insert_job('held')");
    w = test_start(db, .conninfo = test_proxy_start(db, "worker"), .kinds = kinds, .nkinds = 2,
                   .threads = 1);
    test_wait_for(atomic_load(&hold->inside) == 1, 10000);
    test_proxy_mute();
    test_hold_open(hold);
    wait_completed(db, 1, 10000);
    test_proxy_cut(false);
    test_wait_for(test_stats(w).completed + test_stats(w).stale == 1, 10000);
    test_insert(db);
    wait_completed(db, 2, 10000);
    assert_int_equal(atomic_load(&runs->all), 1);
    assert_int_equal(atomic_load(&hold->entered), 1);
}

/* ---- A server that is away --------------------------------------------------------------- */

static void
a_worker_tries_again_with_growing_pauses(void **state)
{
    enum { TRIES = 6 }; /* after pauses of at least 50, 100, 200, 400 and 800 ms */
    PGconn *db = *state;
    const awa_kind kind = { .handler = test_run_counted, .userdata = test_runs_new() };
    awa_worker *w;
    int before;
    int64_t began;

    w = test_start(db, .conninfo = test_proxy_start(db, "worker"), .kinds = &kind, .nkinds = 1,
                   .no_leader = 1);
    before = test_proxy_count();
    began = now_ms();
    test_proxy_cut(true);
    test_wait_for(test_proxy_count() >= before + TRIES, 10000);
    if (now_ms() - began < 1500)
        fail_msg("%d tries within %" PRId64 " ms", TRIES, now_ms() - began);
    assert_int_equal(test_log_count("connect:"), 1); /* it is said once, not each time */
    test_proxy_pass();
    test_insert(db);
    wait_completed(db, 1, 10000);
    assert_int_equal(test_stats(w).reconnects, 1);
}

static void
results_are_kept_until_the_server_is_back(void **state)
{
    PGconn *db = *state;
    struct hold *hold = test_hold_new();
    const awa_kind kind = { .handler = test_hold, .userdata = hold };
    awa_worker *w;

    test_exec(db, "UPDATE awa.settings SET worker_grace = '1 h', worker_lease = '1 h'");
    insert_many(db, 3);
    w = test_start(db, .conninfo = test_proxy_start(db, "worker"), .kinds = &kind, .nkinds = 1,
                   .threads = 3);
    test_wait_for(atomic_load(&hold->inside) == 3, 10000);
    test_proxy_cut(true);
    test_hold_open(hold);
    test_wait_for(test_stats(w).running == 0, 10000);
    assert_int_equal(test_count(db, "completed"), 0);
    test_proxy_pass();
    wait_completed(db, 3, 10000);
    assert_int_equal(test_stats(w).stale, 0);
    assert_string_equal(test_rows(db, "SELECT DISTINCT attempt FROM awa.jobs"), "1");
}

/* ---- The leader -------------------------------------------------------------------------- */

/* Waits until the worker of this name leads. */
static void
wait_leader(PGconn *db, const char *name, int timeout_ms)
{
    test_wait_until(db,
                    test_format("SELECT w.name = '%s' FROM awa.leaders AS l JOIN awa.workers AS w"
                                " USING (worker_id) ORDER BY l.term DESC LIMIT 1",
                                name),
                    timeout_ms);
}

static void
a_leader_that_is_cut_off_is_followed(void **state)
{
    PGconn *db = *state;
    const awa_kind kind = { .handler = test_run_counted, .userdata = test_runs_new() };

    test_start(db, .conninfo = test_proxy_start(db, "worker"), .name = "first", .kinds = &kind,
               .nkinds = 1);
    wait_leader(db, "first", 10000);
    test_start(db, .name = "second", .kinds = &kind, .nkinds = 1);
    test_proxy_cut(true);
    wait_leader(db, "second", 5000);
    test_exec(db, "SELECT awa.insert_job('k', p_delay => '10 ms')"); /* it does what is due */
    wait_completed(db, 1, 5000);
}

static void
a_leader_whose_session_broke_leads_on(void **state)
{
    PGconn *db = *state;
    const awa_kind kind = { .handler = test_run_counted, .userdata = test_runs_new() };

    test_start(db, .name = "first", .kinds = &kind, .nkinds = 1);
    wait_leader(db, "first", 10000);
    /* In one statement: a moment later the session may say something else. */
    test_wait_until(db,
                    "SELECT count(pg_terminate_backend(pid, 5000)) = 1 " SESSIONS
                    " AND query LIKE '%awa.lead(%'",
                    10000);
    test_exec(db, "SELECT awa.insert_job('k', p_delay => '10 ms')");
    wait_completed(db, 1, 5000);
}

/* Two workers, with a lease of an hour, of which the second has been told to come back then. */
static awa_worker *
start_two(PGconn *db, const awa_kind *kind)
{
    awa_worker *first;

    test_exec(db, "UPDATE awa.settings SET leader_lease = '1 h'");
    first =
        test_start(db, .conninfo = test_format("%s application_name=1st", test_dsn(db, "worker")),
                   .name = "first", .kinds = kind, .nkinds = 1);
    wait_leader(db, "first", 10000);
    test_start(db, .conninfo = test_format("%s application_name=2nd", test_dsn(db, "worker")),
               .name = "second", .kinds = kind, .nkinds = 1);
    test_wait_until(db,
                    "SELECT count(*) = 1 " SESSIONS " AND application_name = '2nd'"
                    " AND query LIKE '%awa.lead(%' AND state = 'idle'",
                    10000);
    return first;
}

static void
a_leader_that_frees_its_worker_is_followed_at_once(void **state)
{
    PGconn *db = *state;
    const awa_kind kind = { .handler = test_run_counted, .userdata = test_runs_new() };

    test_free_worker(start_two(db, &kind));
    wait_leader(db, "second", 10000);
}

/* The end of a worker wakes all candidates, its own thread as well, and one of them gets the lock.
 * Here none does until the first has asked in vain, and while it ends, for which it has a second.
 */
static void
a_leader_that_asked_in_vain_resigns_nevertheless(void **state)
{
    PGconn *db = *state;
    const awa_kind kind = { .handler = test_run_counted, .userdata = test_runs_new() };
    awa_worker *first = start_two(db, &kind);
    PGconn *other = test_connect(db, NULL);

    test_exec(other, "BEGIN; SELECT awa.take_lock('leadership')");
    test_exec(db, "SELECT set_config('test.locked_at', clock_timestamp()::text, false);"
                  " NOTIFY \"awa.lead\"");
    test_wait_until(db,
                    "SELECT count(*) = 1 " SESSIONS " AND application_name = '1st'"
                    " AND query LIKE '%awa.lead(%' AND state = 'idle'"
                    " AND query_start > current_setting('test.locked_at')::timestamptz",
                    10000);
    assert_true(PQsendQuery(other, "SELECT pg_sleep_for('1 s'); COMMIT"));
    test_free_worker(first);
    wait_leader(db, "second", 10000);
}

/* The sequence counts the calls: it is not rolled back with them. */
static void
a_task_that_fails_again_and_again_is_reported_once(void **state)
{
    PGconn *db = *state;
    const awa_kind kind = { .handler = test_run_counted, .userdata = test_runs_new() };

    test_exec(db, "CREATE SEQUENCE calls; GRANT USAGE ON calls TO awa_owner;"
                  " CREATE OR REPLACE FUNCTION awa.rescue_jobs(p_now timestamptz DEFAULT"
                  " clock_timestamp()) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN"
                  " PERFORM nextval('public.calls'); RAISE 'out of order'; END $$");
    test_exec(db, "INSERT INTO awa.workers (worker_id, secret, name, queues, session, ended_at)"
                  " VALUES (6, awa.worker_secret(6), 'ended', '{default}', false, now())");
    test_start(db, .kinds = &kind, .nkinds = 1);
    test_wait_until(db, "SELECT last_value >= 4 FROM calls", 15000);
    assert_int_equal(test_log_count("leader: leader_rescue: out of order"), 1);
    test_exec(db, "SELECT awa.insert_job('k', p_delay => '10 ms')"); /* the others go on */
    wait_completed(db, 1, 5000);
}

static void
one_rescued_job_is_one_job(void **state)
{
    PGconn *db = *state, *dead = test_worker(db, 7);
    const awa_kind kind = { .handler = test_run_counted, .userdata = test_runs_new() };

    test_insert(db);
    test_claim_one(dead, 7);
    test_exec(dead, "SELECT awa.deregister_worker(7)");
    test_start(db, .kinds = &kind, .nkinds = 1);
    wait_completed(db, 1, 10000);
    assert_int_equal(test_log_count("leader: rescued 1 job of dead workers"), 1);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_WORKER(each_session_may_break_at_any_time),
        TEST_WORKER(all_sessions_may_break_at_once),
        TEST_WORKER(a_job_whose_claim_was_not_heard_of_runs),
        TEST_WORKER(a_claim_that_was_not_heard_of_does_not_end_other_jobs),
        TEST_WORKER(an_end_whose_answer_was_lost_is_told_again),
        TEST_WORKER(a_worker_tries_again_with_growing_pauses),
        TEST_WORKER(results_are_kept_until_the_server_is_back),
        TEST_WORKER(a_leader_that_is_cut_off_is_followed),
        TEST_WORKER(a_leader_whose_session_broke_leads_on),
        TEST_WORKER(a_leader_that_frees_its_worker_is_followed_at_once),
        TEST_WORKER(a_leader_that_asked_in_vain_resigns_nevertheless),
        TEST_WORKER(a_task_that_fails_again_and_again_is_reported_once),
        TEST_WORKER(one_rescued_job_is_one_job),
    };

    return TEST_RUN(tests);
}
