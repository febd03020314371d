/* SPDX-License-Identifier: MIT */
/*
 * For tests of the worker runtime. What they start here is ended after the test, whether it passed
 * or not: held handlers are let go, then the workers are freed. Handlers run in other threads and
 * must not assert anything; they write down what they saw.
 */
#ifndef AWA_TEST_WORKER_H
#define AWA_TEST_WORKER_H

#include <stdatomic.h>

#include "cli/spawn.h"
#include "test_jobs.h"

#define TEST_WORKER(name) cmocka_unit_test_setup_teardown(name, test_db_setup, test_worker_teardown)

int test_worker_teardown(void **state);

/*
 * A worker in this database, as the login test_worker, that runs; options as for AWA_WORKER(). It
 * may have another conninfo. What it says goes to the log below.
 */
#define test_start(db, ...) test_start_at(db, AWA_WORKER(__VA_ARGS__), __FILE__, __LINE__)
awa_worker *test_start_at(PGconn *db, awa_worker_options *options, const char *file, int line);

/* Frees a worker before the end of the test. */
void test_free_worker(awa_worker *worker);

awa_worker_stats test_stats(awa_worker *worker);

/* How many lines of the workers of this test contain a text; and all of them, to standard error. */
int test_log_count(const char *part);
void test_log_print(void);

/* Looks again and again until a condition in C is true. */
#define test_wait_for(condition, timeout_ms)                                             \
    do {                                                                                 \
        int64_t wait_end_ = now_ms() + (timeout_ms);                                     \
                                                                                         \
        while (!(condition)) {                                                           \
            if (now_ms() > wait_end_) {                                                  \
                test_log_print();                                                        \
                fail_msg("not within %lld ms: %s", (long long)(timeout_ms), #condition); \
            }                                                                            \
            (void)usleep(1000);                                                          \
        }                                                                                \
    } while (0)

/* Handlers that wait in test_hold() until it is opened, or until their attempt should end. */
struct hold {
    int opened;                             /* eventfd: readable once it is */
    atomic_int entered, inside, most;       /* most: at the same time */
    atomic_int cancelled;                   /* attempts that should end */
    awa_outcome outcome, outcome_cancelled; /* how they end */
};

struct hold *test_hold_new(void);
void test_hold_open(struct hold *h);
awa_outcome test_hold(awa_attempt *job, void *hold); /* an awa_handler */

/* How often each job ran, by its id; a handler for userdata struct runs. */
enum { RUNS_MAX = 5000 };
struct runs {
    atomic_int of[RUNS_MAX];
    atomic_int all;
};
struct runs *test_runs_new(void);
awa_outcome test_run_counted(awa_attempt *job, void *runs);

/* Every job from 1 to n ran once and is completed. */
void test_each_ran_once(PGconn *db, const struct runs *runs, int n);

#endif
