/* SPDX-License-Identifier: MIT */
/* See test_worker.h. */
#include "test_worker.h"

#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>

#include "test_proxy.h"

enum { WORKERS_MAX = 100, HOLDS_MAX = 20, LOG_MAX = 2000 };

/* What ends with the test. */
static awa_worker *workers[WORKERS_MAX];
static size_t nworkers;
static struct hold *holds[HOLDS_MAX];
static size_t nholds;
static struct runs *all_runs;

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER; /* guards lines, nlines */
static char *lines[LOG_MAX];
static size_t nlines;

int
test_worker_teardown(void **state)
{
    for (size_t i = 0; i < nholds; i++)
        test_hold_open(holds[i]);
    test_proxy_stop(); /* first: a worker waits for answers that it would hold back */
    while (nworkers > 0)
        (void)awa_worker_free(workers[--nworkers]);
    while (nholds > 0) {
        (void)close(holds[--nholds]->opened);
        free(holds[nholds]);
    }
    free(TAKE(all_runs));
    while (nlines > 0)
        free(lines[--nlines]);
    return test_db_teardown(state);
}

/* ---- Workers ----------------------------------------------------------------------------- */

static void
keep_line(void *userdata, const char *line)
{
    (void)userdata;
    pthread_mutex_lock(&log_lock);
    if (nlines < LOG_MAX)
        lines[nlines++] = strdup(line);
    pthread_mutex_unlock(&log_lock);
}

int
test_log_count(const char *part)
{
    int n = 0;

    pthread_mutex_lock(&log_lock);
    for (size_t i = 0; i < nlines; i++)
        n += strstr(lines[i], part) != NULL;
    pthread_mutex_unlock(&log_lock);
    return n;
}

void
test_log_print(void)
{
    pthread_mutex_lock(&log_lock);
    for (size_t i = 0; i < nlines; i++)
        print_error("%s\n", lines[i]);
    pthread_mutex_unlock(&log_lock);
}

awa_worker *
test_start_at(PGconn *db, awa_worker_options *options, const char *file, int line)
{
    awa_worker *w;
    awa_error err;

    if (options->conninfo == NULL)
        options->conninfo = test_dsn(db, "worker");
    options->log = keep_line;
    if (nworkers == WORKERS_MAX)
        fail_msg("more than %d workers in one test", WORKERS_MAX);
    test_ok_at(awa_worker_new(options, &w, &err), &err, "awa_worker_new", file, line);
    workers[nworkers++] = w;
    test_ok_at(awa_worker_start(w, &err), &err, "awa_worker_start", file, line);
    return w;
}

void
test_free_worker(awa_worker *worker)
{
    for (size_t i = 0; i < nworkers; i++)
        if (workers[i] == worker)
            workers[i] = workers[--nworkers];
    (void)awa_worker_free(worker);
}

awa_worker_stats
test_stats(awa_worker *worker)
{
    awa_worker_stats stats = { .size = sizeof stats };

    awa_worker_get_stats(worker, &stats);
    return stats;
}

/* ---- Handlers ---------------------------------------------------------------------------- */

struct hold *
test_hold_new(void)
{
    struct hold *h = calloc(1, sizeof *h);

    if (h == NULL || nholds == HOLDS_MAX || (h->opened = eventfd(0, EFD_CLOEXEC)) < 0)
        fail_msg("no more holds");
    h->outcome_cancelled = AWA_RETRY;
    return holds[nholds++] = h;
}

void
test_hold_open(struct hold *h)
{
    (void)eventfd_write(h->opened, 1);
}

awa_outcome
test_hold(awa_attempt *job, void *hold)
{
    struct hold *h = hold;
    struct pollfd fds[] = { { .fd = h->opened, .events = POLLIN },
                            { .fd = awa_attempt_cancel_fd(job), .events = POLLIN } };
    int inside = atomic_fetch_add(&h->inside, 1) + 1, most = atomic_load(&h->most);

    while (most < inside && !atomic_compare_exchange_weak(&h->most, &most, inside))
        ;
    atomic_fetch_add(&h->entered, 1);
    while (poll(fds, 2, -1) < 0)
        ;
    atomic_fetch_sub(&h->inside, 1);
    if (awa_attempt_cancelled(job) == AWA_GO_ON)
        return h->outcome;
    atomic_fetch_add(&h->cancelled, 1);
    return h->outcome_cancelled;
}

struct runs *
test_runs_new(void)
{
    if (all_runs == NULL)
        all_runs = calloc(1, sizeof *all_runs);
    if (all_runs == NULL)
        fail_msg("out of memory");
    return all_runs;
}

awa_outcome
test_run_counted(awa_attempt *job, void *runs)
{
    struct runs *r = runs;

    if (awa_attempt_id(job) < RUNS_MAX)
        atomic_fetch_add(&r->of[awa_attempt_id(job)], 1);
    atomic_fetch_add(&r->all, 1);
    return AWA_COMPLETE;
}

void
test_each_ran_once(PGconn *db, const struct runs *runs, int n)
{
    for (int id = 1; id <= n; id++)
        if (atomic_load(&runs->of[id]) != 1)
            fail_msg("job %d ran %d times", id, atomic_load(&runs->of[id]));
    assert_int_equal(test_count(db, "completed"), n);
    assert_int_equal(test_int(db, "SELECT count(*) FROM awa.jobs"), n);
}
