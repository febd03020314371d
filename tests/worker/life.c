/* SPDX-License-Identifier: MIT */
/* The life of a worker: what it wants to begin, how much it takes on, and how it ends. */
#include "test_worker.h"

#include <dirent.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>

/* ---- Beginning --------------------------------------------------------------------------- */

static awa_outcome
complete(awa_attempt *job, void *userdata)
{
    (void)job;
    (void)userdata;
    return AWA_COMPLETE;
}

static void
wrong_options_are_refused_by_name(void **state)
{
    static const awa_kind kind = { .handler = complete };
    static const awa_kind mixed[] = { { .kind = "k" }, { .handler = complete } };
    static const char *const no_name[] = { "q", NULL };
    static const char *const empty[] = { "" };
    const struct {
        awa_worker_options options;
        const char *want;
    } cases[] = {
        { { .kinds = &kind, .nkinds = 1, .threads = 1025 }, "threads: want 1 to 1024, got 1025" },
        { { .kinds = &kind, .nkinds = 1, .threads = -1 }, "threads: want 1 to 1024, got -1" },
        { { .kinds = &kind, .nkinds = 1, .batch = 10001 }, "batch: want 1 to 10000, got 10001" },
        { { .kinds = &kind, .nkinds = 1, .prefetch = -2 }, "prefetch: want -1 to 100000" },
        { { .kinds = &kind, .nkinds = 1, .poll_ms = 9 }, "poll_ms: want 10 to 60000, got 9" },
        { { .threads = 100001 }, "threads: want 1 to 100000, got 100001" },
        { { .nkinds = 1 }, "kinds: missing" },
        { { .kinds = mixed, .nkinds = 2 }, "want a handler for every kind, or for none" },
        { { .kinds = &kind, .nkinds = 1, .queues = no_name, .nqueues = 2 }, "queue 1 has no name" },
        { { .kinds = &kind, .nkinds = 1, .queues = empty, .nqueues = 1 }, "queue" },
    };
    PGconn *db = *state;
    awa_worker *w = NULL;
    awa_error err;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        awa_worker_options o = cases[i].options;

        o.size = sizeof o;
        o.conninfo = test_dsn(db, "worker");
        err = (awa_error){ 0 };
        assert_int_equal(awa_worker_new(&o, &w, &err), AWA_EINVAL);
        if (strstr(err.message, cases[i].want) == NULL)
            fail_msg("want '%s', got '%s'", cases[i].want, err.message);
        assert_null(w);
    }
    assert_int_equal(awa_worker_new(NULL, &w, &err), AWA_EINVAL);
    assert_int_equal(awa_worker_new(AWA_WORKER(.kinds = &kind, .nkinds = 1), NULL, &err),
                     AWA_EINVAL);
    assert_int_equal(test_int(db, "SELECT count(*) FROM awa.workers"), 0);
}

static void
a_worker_that_cannot_work_is_told_at_once(void **state)
{
    static const awa_kind kind = { .handler = complete };
    PGconn *db = *state;
    awa_worker *w = NULL;
    awa_error err;

    assert_int_equal(
        awa_worker_new(AWA_WORKER(.conninfo = "host=/nonexistent", .kinds = &kind, .nkinds = 1), &w,
                       &err),
        AWA_ECONN);
    assert_int_equal(awa_worker_new(AWA_WORKER(.conninfo = test_dsn(db, "producer"), .kinds = &kind,
                                               .nkinds = 1),
                                    &w, &err),
                     AWA_EDB);
    assert_string_equal(err.sqlstate, "42501");
    test_exec(db, "SET client_min_messages = warning; DROP SCHEMA awa CASCADE");
    assert_int_equal(
        awa_worker_new(AWA_WORKER(.conninfo = test_dsn(db, "worker"), .kinds = &kind, .nkinds = 1),
                       &w, &err),
        AWA_ESCHEMA);
    assert_null(w);
}

static void
a_worker_is_started_once_and_stopped_after_that(void **state)
{
    static const awa_kind kind = { .handler = complete };
    PGconn *db = *state;
    awa_worker *w;
    awa_error err;

    test_ok(
        awa_worker_new(AWA_WORKER(.conninfo = test_dsn(db, "worker"), .kinds = &kind, .nkinds = 1),
                       &w, &err),
        &err);
    assert_int_equal(awa_worker_stop(w, 0, &err), AWA_EINVAL);
    test_ok(awa_worker_start(w, &err), &err);
    assert_int_equal(awa_worker_start(w, &err), AWA_EINVAL);
    test_ok(awa_worker_stop(w, -1, &err), &err);
    test_ok(awa_worker_stop(w, 0, &err), &err);
    assert_int_equal(awa_worker_start(w, &err), AWA_EINVAL);
    assert_null(awa_worker_free(w));

    test_ok(
        awa_worker_new(AWA_WORKER(.conninfo = test_dsn(db, "worker"), .kinds = &kind, .nkinds = 1),
                       &w, &err),
        &err);
    assert_null(awa_worker_free(w)); /* never started */
    assert_null(awa_worker_free(NULL));
    awa_worker_drain(NULL);
    assert_int_equal(awa_worker_start(NULL, &err), AWA_EINVAL);
    assert_int_equal(awa_worker_stop(NULL, 0, &err), AWA_EINVAL);
}

static void
what_the_caller_said_is_copied(void **state)
{
    PGconn *db = *state;
    char queue[] = "mine", name[] = "wanda", kind_name[] = "k";
    const char *queues[] = { queue };
    awa_kind kind = { kind_name, test_run_counted, test_runs_new() };

    test_start(db, .name = name, .queues = queues, .nqueues = 1, .kinds = &kind, .nkinds = 1);
    memset(queue, 'x', sizeof queue - 1);
    memset(name, 'x', sizeof name - 1);
    memset(kind_name, 'x', sizeof kind_name - 1);
    kind.handler = NULL;
    test_exec(db, "SELECT awa.insert_job('k', p_queue => 'mine')");
    test_wait_until(db, "SELECT state = 'completed' FROM awa.jobs", 10000);
    assert_string_equal(test_rows(db, "SELECT name, queues, kinds FROM awa.workers"),
                        "wanda|{mine}|{k}");
}

/* ---- How much it takes on ---------------------------------------------------------------- */

static void
no_more_jobs_run_at_once_than_there_are_threads(void **state)
{
    PGconn *db = *state;
    struct hold *hold = test_hold_new();
    const awa_kind kind = { .handler = test_hold, .userdata = hold };
    awa_worker *w;

    test_exec(db, "SELECT awa.insert_jobs(array_fill('k'::text, '{40}'))");
    w = test_start(db, .kinds = &kind, .nkinds = 1, .threads = 3, .prefetch = 10);
    test_wait_for(test_stats(w).running == 3 && test_stats(w).waiting == 10, 10000);
    test_wait_for(atomic_load(&hold->most) == 3, 10000);
    assert_int_equal(test_stats(w).claimed, 13);
    assert_int_equal(test_count(db, "running"), 13);
    test_hold_open(hold);
    test_wait_for(test_stats(w).completed == 40, 10000);
    assert_int_equal(atomic_load(&hold->most), 3);
    assert_int_equal(test_stats(w).running + test_stats(w).waiting, 0);
}

static void
without_prefetch_nothing_is_held_unstarted(void **state)
{
    PGconn *db = *state;
    struct hold *hold = test_hold_new();
    const awa_kind kind = { .handler = test_hold, .userdata = hold };
    awa_worker *w;

    test_exec(db, "SELECT awa.insert_jobs(array_fill('k'::text, '{20}'))");
    w = test_start(db, .kinds = &kind, .nkinds = 1, .threads = 2, .prefetch = -1);
    test_wait_for(test_stats(w).running == 2, 10000);
    test_wait_for(atomic_load(&hold->most) == 2, 10000);
    assert_int_equal(test_stats(w).claimed, 2);
    test_hold_open(hold);
    test_wait_for(test_stats(w).completed == 20, 10000);
    assert_int_equal(atomic_load(&hold->most), 2);
}

static void
a_claim_takes_no_more_than_a_batch(void **state)
{
    PGconn *db = *state;
    struct runs *runs = test_runs_new();
    const awa_kind kind = { .handler = test_run_counted, .userdata = runs };

    test_exec(db, "SELECT awa.insert_jobs(array_fill('k'::text, '{500}'))");
    test_start(db, .kinds = &kind, .nkinds = 1, .threads = 4, .batch = 7, .prefetch = 1000);
    test_wait_until(db, "SELECT count(*) = 500 FROM awa.jobs WHERE state = 'completed'", 20000);
    assert_int_equal(test_int(db, "SELECT max(n) FROM awa.claims"), 7);
    test_each_ran_once(db, runs, 500);
}

/* ---- Ending ------------------------------------------------------------------------------ */

#define GIVEN_BACK                                                                              \
    "SELECT count(*) = 4 FROM awa.jobs WHERE state = 'available' AND attempt = 0 AND errors IS" \
    " NULL"

static void
a_worker_that_drains_gives_back_what_it_has_not_begun(void **state)
{
    PGconn *db = *state;
    struct hold *hold = test_hold_new();
    const awa_kind kind = { .handler = test_hold, .userdata = hold };
    awa_worker *w;
    awa_error err;

    test_exec(db, "SELECT awa.insert_jobs(array_fill('k'::text, '{5}'))");
    w = test_start(db, .kinds = &kind, .nkinds = 1, .threads = 1, .prefetch = 10);
    test_wait_for(atomic_load(&hold->inside) == 1 && test_stats(w).waiting == 4, 10000);
    awa_worker_drain(w);
    test_wait_until(db, GIVEN_BACK, 5000);
    assert_int_equal(atomic_load(&hold->inside), 1); /* it runs on */
    assert_int_equal(test_count(db, "running"), 1);
    test_exec(db, "SELECT awa.insert_job('k')"); /* not for this worker */
    test_hold_open(hold);
    test_ok(awa_worker_stop(w, 10000, &err), &err);
    assert_int_equal(test_count(db, "completed"), 1);
    assert_int_equal(test_count(db, "available"), 5);
    assert_int_equal(test_stats(w).released, 4);
    assert_int_equal(atomic_load(&hold->cancelled), 0);
    assert_int_equal(test_int(db, "SELECT count(*) FROM awa.workers WHERE ended_at IS NULL"), 0);
}

static void *
open_later(void *arg)
{
    struct hold *hold = arg;

    (void)usleep(100000); /* so that the stop waits for something; it need not */
    test_hold_open(hold);
    return NULL;
}

static void
a_stop_waits_for_what_runs(void **state)
{
    PGconn *db = *state;
    struct hold *hold = test_hold_new();
    const awa_kind kind = { .handler = test_hold, .userdata = hold };
    awa_worker *w;
    pthread_t opener;
    awa_error err;

    test_exec(db, "SELECT awa.insert_jobs(array_fill('k'::text, '{2}'))");
    w = test_start(db, .kinds = &kind, .nkinds = 1, .threads = 2);
    test_wait_for(atomic_load(&hold->inside) == 2, 10000);
    assert_int_equal(pthread_create(&opener, NULL, open_later, hold), 0);
    test_ok(awa_worker_stop(w, 20000, &err), &err);
    pthread_join(opener, NULL);
    assert_int_equal(test_count(db, "completed"), 2); /* it is durable when stop returns */
    assert_int_equal(test_stats(w).completed, 2);
    assert_int_equal(atomic_load(&hold->cancelled), 0);
}

static void
a_stop_that_cannot_wait_tells_what_runs_to_end(void **state)
{
    PGconn *db = *state;
    struct hold *hold = test_hold_new();
    const awa_kind kind = { .handler = test_hold, .userdata = hold };
    awa_worker *w;
    awa_error err;
    int64_t began;

    test_insert(db);
    w = test_start(db, .kinds = &kind, .nkinds = 1, .threads = 2);
    test_wait_for(atomic_load(&hold->inside) == 1, 10000);
    began = now_ms();
    assert_int_equal(awa_worker_stop(w, 100, &err), AWA_EBUSY);
    assert_true(now_ms() - began >= 100 && now_ms() - began < 2000);
    test_wait_for(atomic_load(&hold->cancelled) == 1, 2000);
    test_ok(awa_worker_stop(w, 5000, &err), &err);
    assert_string_equal(test_rows(db, "SELECT state, attempt FROM awa.jobs"), "retryable|1");
}

/* Handlers that do not listen are waited for by awa_worker_free() only. */
static awa_outcome
be_deaf(awa_attempt *job, void *hold)
{
    struct hold *h = hold;
    eventfd_t ignored;

    (void)job;
    atomic_fetch_add(&h->inside, 1);
    (void)eventfd_read(h->opened, &ignored);
    return AWA_COMPLETE;
}

static void
a_second_stop_is_immediate(void **state)
{
    PGconn *db = *state;
    struct hold *hold = test_hold_new();
    const awa_kind kind = { .handler = be_deaf, .userdata = hold };
    awa_worker *w;
    awa_error err;
    int64_t began;

    test_insert(db);
    w = test_start(db, .kinds = &kind, .nkinds = 1, .threads = 1);
    test_wait_for(atomic_load(&hold->inside) == 1, 10000);
    assert_int_equal(awa_worker_stop(w, 50, &err), AWA_EBUSY);
    began = now_ms();
    assert_int_equal(awa_worker_stop(w, 0, &err), AWA_EBUSY);
    assert_true(now_ms() - began < 1000);
    test_hold_open(hold);
    test_ok(awa_worker_stop(w, 10000, &err), &err);
    assert_int_equal(test_count(db, "completed"), 1);
}

static void
what_a_freed_worker_leaves_unfinished_is_run_by_another(void **state)
{
    PGconn *db = *state;
    struct hold *hold = test_hold_new();
    const awa_kind held = { .handler = test_hold, .userdata = hold };
    const awa_kind counted = { .handler = test_run_counted, .userdata = test_runs_new() };
    awa_worker *w;

    test_exec(db, "SELECT awa.insert_jobs(array_fill('k'::text, '{6}'))");
    w = test_start(db, .kinds = &held, .nkinds = 1, .threads = 2, .prefetch = 4);
    test_wait_for(atomic_load(&hold->inside) == 2 && test_stats(w).waiting == 4, 10000);
    test_free_worker(w);
    assert_int_equal(atomic_load(&hold->cancelled), 2);
    test_start(db, .kinds = &counted, .nkinds = 1);
    /* those that were begun come again after the backoff */
    test_wait_until(db, "SELECT count(*) = 6 FROM awa.jobs WHERE state = 'completed'", 20000);
    assert_int_equal(test_int(db, "SELECT count(*) FROM awa.jobs WHERE attempt = 1"), 4);
}

/* ---- What it leaves behind --------------------------------------------------------------- */

static int
count_entries(const char *dir)
{
    DIR *d = opendir(dir);
    int n = 0;

    if (d == NULL)
        fail_msg("cannot open %s", dir);
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n;
}

static void
fifty_workers_leave_nothing_behind(void **state)
{
    enum { WORKERS = 50 };
    PGconn *db = *state;
    struct runs *runs = test_runs_new();
    const awa_kind kind = { .handler = test_run_counted, .userdata = runs };
    int fds = count_entries("/proc/self/fd"), threads = count_entries("/proc/self/task");
    awa_error err;

    for (int i = 0; i < WORKERS; i++) {
        awa_worker *w = test_start(db, .kinds = &kind, .nkinds = 1, .threads = 3, .poll_ms = 10);

        if (i % 2 == 0) { /* every second one has done something */
            test_insert(db);
            test_wait_for(atomic_load(&runs->all) == i / 2 + 1, 10000);
        }
        if (i % 3 == 0)
            test_ok(awa_worker_stop(w, 10000, &err), &err);
        test_free_worker(w);
    }
    assert_int_equal(count_entries("/proc/self/fd"), fds);
    test_wait_for(count_entries("/proc/self/task") == threads, 2000); /* joined, but just ending */
    test_wait_until(db,
                    "SELECT count(*) = 1 FROM pg_stat_activity WHERE datname ="
                    " current_database()",
                    5000);
    test_each_ran_once(db, runs, WORKERS / 2);
    assert_int_equal(test_int(db, "SELECT count(*) FROM awa.workers WHERE ended_at IS NULL"), 0);
}

/* ---- Maintenance ------------------------------------------------------------------------- */

/* Retries wake the leader so often that it meets only a few new jobs each time. */
static void
the_ring_turns_under_load_however_often_the_leader_looks(void **state)
{
    static const awa_kind kind = { .handler = complete };
    PGconn *db = *state;
    int64_t until;

    test_exec(db, "UPDATE awa.settings SET slot_age = '100 ms'");
    (void)test_start(db, .kinds = &kind, .nkinds = 1, .threads = 2);
    test_wait_until(db, "SELECT count(*) = 1 FROM awa.leaders", 5000);
    until = now_ms() + 20000;
    while (test_int(db, "SELECT count(*) FROM awa.ring_rotations") < 3) {
        if (now_ms() > until)
            fail_msg("the ring does not turn");
        test_exec(db, "SELECT awa.insert_job('k') FROM generate_series(1, 8)");
        test_exec(db, "SELECT awa.insert_job('k', p_delay => '60 ms')");
        (void)usleep(20000);
    }
}

static void
a_worker_runs_until_nothing_is_left(void **state)
{
    PGconn *db = *state;
    static const awa_kind kind = { .handler = complete };
    awa_worker *w = test_start(db, .kinds = &kind, .nkinds = 1, .no_leader = 0);
    awa_error err;

    for (int i = 0; i < 50; i++)
        (void)test_insert(db);
    test_exec(db, "SELECT awa.insert_job('k', p_delay => '300 ms')"); /* due before we have done */
    test_exec(db, "SELECT awa.insert_job('k', p_delay => '1 h')");
    test_exec(db, "SELECT pg_sleep(0.4)");
    assert_int_equal(awa_worker_run_until_empty(w, 20000, &err), AWA_OK);
    assert_int_equal(test_count(db, "completed"), 51);
    assert_int_equal(test_count(db, "scheduled"), 1);
}

static void
a_worker_that_is_not_done_in_time_says_so(void **state)
{
    PGconn *db = *state;
    struct hold *h = test_hold_new();
    const awa_kind kind = { .handler = test_hold, .userdata = h };
    awa_worker *w = test_start(db, .kinds = &kind, .nkinds = 1, .no_leader = 1);
    int empty = 1;
    awa_error err;

    (void)test_insert(db);
    assert_int_equal(awa_worker_run_until_empty(w, 300, &err), AWA_EBUSY);
    assert_int_equal(awa_worker_is_empty(w, &empty, &err), AWA_OK);
    assert_int_equal(empty, 0);
    assert_int_equal(awa_worker_is_empty(w, NULL, &err), AWA_EINVAL);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_WORKER(wrong_options_are_refused_by_name),
        TEST_WORKER(a_worker_that_cannot_work_is_told_at_once),
        TEST_WORKER(a_worker_is_started_once_and_stopped_after_that),
        TEST_WORKER(what_the_caller_said_is_copied),
        TEST_WORKER(no_more_jobs_run_at_once_than_there_are_threads),
        TEST_WORKER(without_prefetch_nothing_is_held_unstarted),
        TEST_WORKER(a_claim_takes_no_more_than_a_batch),
        TEST_WORKER(a_worker_that_drains_gives_back_what_it_has_not_begun),
        TEST_WORKER(a_stop_waits_for_what_runs),
        TEST_WORKER(a_stop_that_cannot_wait_tells_what_runs_to_end),
        TEST_WORKER(a_second_stop_is_immediate),
        TEST_WORKER(what_a_freed_worker_leaves_unfinished_is_run_by_another),
        TEST_WORKER(fifty_workers_leave_nothing_behind),
        TEST_WORKER(a_worker_runs_until_nothing_is_left),
        TEST_WORKER(a_worker_that_is_not_done_in_time_says_so),
        TEST_WORKER(the_ring_turns_under_load_however_often_the_leader_looks),
    };

    return TEST_RUN(tests);
}
