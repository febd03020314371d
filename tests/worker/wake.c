/* SPDX-License-Identifier: MIT */
/* When a worker looks for work: told by producers, by operators, or by the clock. */
#include "test_worker.h"

#include <inttypes.h>
#include <string.h>

static void
wait_completed(PGconn *db, int n, int timeout_ms)
{
    test_wait_until(db,
                    test_format("SELECT count(*) = %d FROM awa.jobs WHERE state = 'completed'", n),
                    timeout_ms);
}

/* ---- An idle worker ---------------------------------------------------------------------- */

/* The time when the handler began, on the clock of now_ms(). */
static awa_outcome
note_time(awa_attempt *job, void *userdata)
{
    atomic_int_least64_t *at = userdata;

    (void)job;
    atomic_store(at, now_ms());
    return AWA_COMPLETE;
}

/*
 * Waits until the worker does nothing any more but beat: `beats` statements in a row with more
 * than a second before each. The next one comes two seconds after that.
 */
static void
wait_idle(awa_worker *w, int beats)
{
    int64_t give_up = now_ms() + 30000, last_at = now_ms(), last = test_stats(w).queries;

    for (int calm = 0; calm < beats;) {
        int64_t now = now_ms(), queries = test_stats(w).queries;

        if (queries != last) {
            calm = now - last_at > 1000 && queries == last + 1 ? calm + 1 : 0;
            last = queries;
            last_at = now;
        }
        if (now > give_up)
            fail_msg("the worker does not become idle");
        (void)usleep(1000);
    }
}

/*
 * How many statements the sessions of workers begin, as the server sees it. Not while they run:
 * each message of one, to parse, to bind and to execute, has a query_start of its own.
 */
static int64_t
watch_statements(PGconn *db, int for_ms)
{
    static const char look[] = "INSERT INTO begun SELECT pid, query_start FROM pg_stat_activity"
                               " WHERE datname = current_database() AND usename = 'test_worker'"
                               " AND state <> 'active' ON CONFLICT DO NOTHING";
    int64_t end = now_ms() + for_ms, before;

    test_exec(db, "CREATE TEMP TABLE begun (pid int, at timestamptz, UNIQUE (pid, at))");
    test_exec(db, look);
    before = test_int(db, "SELECT count(*) FROM begun");
    while (now_ms() < end) {
        test_exec(db, look);
        (void)usleep(2000);
    }
    return test_int(db, "SELECT count(*) FROM begun") - before;
}

/* Inserts a job into an idle queue and expects it to be picked up before the next beat. */
static void
expect_woken(PGconn *db, const char *queue, const atomic_int_least64_t *at)
{
    int64_t before = atomic_load(at), inserted = now_ms();
    awa_error err;

    test_ok(awa_job_insert(db, AWA_JOB(.kind = "k", .queue = queue), NULL, &err), &err);
    test_wait_for(atomic_load(at) != before, 10000);
    if (atomic_load(at) - inserted > 1000)
        fail_msg("%s: picked up after %" PRId64 " ms", queue, atomic_load(at) - inserted);
}

static void
an_idle_worker_hardly_asks(void **state)
{
    enum { WATCH_S = 6 };
    PGconn *db = *state;
    const awa_kind kind = { .handler = test_run_counted, .userdata = test_runs_new() };
    awa_worker *w = test_start(db, .kinds = &kind, .nkinds = 1);
    int64_t n, said;

    /* at first it looks again and again, for producers that did not know that it waits */
    test_wait_until(
        db, "SELECT clock_timestamp() > registered_at + interval '4 s' FROM awa.workers", 20000);
    said = test_stats(w).queries;
    n = watch_statements(db, WATCH_S * 1000);
    said = test_stats(w).queries - said;
    if (n - 2 >= WATCH_S) /* I/O and leader: each may have one more than its rate says */
        fail_msg("%" PRId64 " statements within %d s", n, WATCH_S);
    assert_true(n > 0);
    assert_in_range(said, n - 1, n + 1); /* one may be under way at either end */
}

static void
a_producer_wakes_an_idle_worker(void **state)
{
    static const char *const queues[] = {
        "default",
        "a \"b\" \\ 'c'",
        ("one with so long a name that the channel gets a hash instead of it:"
         " 0123456789 0123456789 0123456789 0123456789"),
    };
    PGconn *db = *state;
    atomic_int_least64_t at = 0;
    const awa_kind kind = { .handler = note_time, .userdata = &at };
    awa_worker *w =
        test_start(db, .queues = queues, .nqueues = 3, .kinds = &kind, .nkinds = 1, .no_leader = 1);

    for (int i = 0; i < 3; i++) {
        wait_idle(w, i == 0 ? 2 : 1);
        expect_woken(db, queues[i], &at);
    }
}

static void
without_listen_the_clock_will_do(void **state)
{
    PGconn *db = *state;
    struct runs *runs = test_runs_new();
    const awa_kind kind = { .handler = test_run_counted, .userdata = runs };
    awa_worker *w = test_start(db, .kinds = &kind, .nkinds = 1, .pooled = 1, .poll_ms = 100);

    assert_string_equal(test_text(db, "SELECT session FROM awa.workers"), "f");
    for (int i = 1; i <= 5; i++) {
        test_insert(db);
        wait_completed(db, i, 5000);
    }
    test_exec(db, "SELECT awa.insert_job('k', p_delay => '50 ms')");
    wait_completed(db, 6, 10000);
    test_each_ran_once(db, runs, 6);
    assert_int_equal(test_stats(w).stale, 0);
    test_wait_until(db, /* no session lock either; that of a first user of a lane passes */
                    "SELECT count(*) = 0 FROM pg_locks WHERE locktype = 'advisory'"
                    " AND database = (SELECT oid FROM pg_database"
                    " WHERE datname = current_database())",
                    5000);
}

static void
a_paused_queue_hands_out_nothing_until_it_goes_on(void **state)
{
    static const char *const queues[] = { "paused", "open" };
    PGconn *db = *state;
    const awa_kind kind = { .handler = test_run_counted, .userdata = test_runs_new() };
    awa_error err;

    test_ok(awa_queue_pause(db, "paused", &err), &err);
    test_start(db, .queues = queues, .nqueues = 2, .kinds = &kind, .nkinds = 1);
    test_exec(db, "SELECT awa.insert_job('k', p_queue => 'paused')");
    for (int i = 1; i <= 5; i++) {
        test_exec(db, "SELECT awa.insert_job('k', p_queue => 'open')");
        wait_completed(db, i, 10000);
    }
    assert_string_equal(test_rows(db, "SELECT state FROM awa.jobs WHERE queue = 'paused'"),
                        "available");
    test_ok(awa_queue_resume(db, "paused", &err), &err);
    wait_completed(db, 6, 5000);
}

/* ---- Several workers --------------------------------------------------------------------- */

static void
two_workers_share_a_queue(void **state)
{
    enum { N = 400 };
    PGconn *db = *state;
    struct runs *runs = test_runs_new();
    struct hold *hold = test_hold_new();
    const awa_kind kinds[] = { { "k", test_run_counted, runs }, { "held", test_hold, hold } };
    awa_worker *w[2];

    test_exec(db, "SELECT awa.insert_jobs('{held,held}')");
    for (int i = 0; i < 2; i++)
        w[i] =
            test_start(db, .kinds = kinds, .nkinds = 2, .threads = 1, .prefetch = -1, .batch = 5);
    test_wait_for(test_stats(w[0]).running == 1 && test_stats(w[1]).running == 1, 10000);
    test_hold_open(hold);
    for (int i = 0; i < N / 20; i++)
        test_exec(db, "SELECT awa.insert_jobs(array_fill('k'::text, '{20}'))");
    wait_completed(db, N + 2, 30000);
    for (int id = 3; id <= N + 2; id++)
        assert_int_equal(atomic_load(&runs->of[id]), 1);
    assert_int_equal(atomic_load(&runs->all), N);
    test_wait_for(test_stats(w[0]).completed + test_stats(w[1]).completed == N + 2, 5000);
    assert_int_equal(test_stats(w[0]).stale + test_stats(w[1]).stale, 0);
}

/* ---- Cancel ------------------------------------------------------------------------------ */

static void
cancel_while_running(PGconn *db, const awa_worker_options *options, int within_ms)
{
    struct hold *hold = test_hold_new();
    const awa_kind kind = { .handler = test_hold, .userdata = hold };
    awa_worker *w =
        test_start(db, .kinds = &kind, .nkinds = 1, .pooled = options->pooled, .threads = 2);
    int64_t id = test_insert(db), began;
    awa_error err;

    test_insert(db); /* this one runs on */
    test_wait_for(atomic_load(&hold->inside) == 2, 10000);
    began = now_ms();
    test_ok(awa_job_cancel(db, id, "no longer wanted", &err), &err);
    test_wait_for(atomic_load(&hold->cancelled) == 1, 10000);
    if (now_ms() - began > within_ms)
        fail_msg("it heard of it after %" PRId64 " ms", now_ms() - began);
    test_wait_for(test_stats(w).stale == 1, 10000);
    assert_string_equal(
        test_rows(db, test_format("SELECT state, attempt, errors->0->>'error' FROM awa.jobs WHERE"
                                  " id = %" PRId64,
                                  id)),
        "cancelled|1|no longer wanted");
    assert_int_equal(awa_job_cancel(db, id, NULL, &err), AWA_ENOTFOUND);
    assert_int_equal(atomic_load(&hold->inside), 1);
    test_hold_open(hold);
    test_wait_for(test_stats(w).completed == 1, 10000);
    test_free_worker(w);
}

static void
the_handler_of_a_cancelled_job_is_told(void **state)
{
    cancel_while_running(*state, AWA_WORKER(.pooled = 0), 1500);
}

static void
behind_a_pooler_it_is_told_with_the_next_beats(void **state)
{
    cancel_while_running(*state, AWA_WORKER(.pooled = 1), 6000);
}

static void
a_cancel_without_a_reason_says_who(void **state)
{
    PGconn *db = *state;
    int64_t id = test_insert(db);
    awa_error err;

    test_ok(awa_job_cancel(db, id, NULL, &err), &err);
    assert_string_equal(test_rows(db, "SELECT state, errors->0->>'error' FROM awa.jobs"),
                        "cancelled|cancelled by an operator");
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_WORKER(an_idle_worker_hardly_asks),
        TEST_WORKER(a_producer_wakes_an_idle_worker),
        TEST_WORKER(without_listen_the_clock_will_do),
        TEST_WORKER(a_paused_queue_hands_out_nothing_until_it_goes_on),
        TEST_WORKER(two_workers_share_a_queue),
        TEST_WORKER(the_handler_of_a_cancelled_job_is_told),
        TEST_WORKER(behind_a_pooler_it_is_told_with_the_next_beats),
        TEST_WORKER(a_cancel_without_a_reason_says_who),
    };

    return TEST_RUN(tests);
}
