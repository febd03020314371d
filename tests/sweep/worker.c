/* SPDX-License-Identifier: MIT */
/*
 * worker N: a worker of libawa runs the N jobs that wait, of every kind of handler: one that says
 * something, one that fails first, one with a transaction. Ends as soon as nothing has moved for a
 * while; exit code 1 if the worker could not be made, or jobs had to be left to others.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "cli/spawn.h"
#include "pg/pg.h"

enum {
    STILL_MS = 4000, /* nothing has moved for so long */
    STOP_MS = 3000,
    NAP_US = 5000,
};

static awa_outcome
handle(awa_attempt *job, void *userdata)
{
    PGconn *conn;

    (void)userdata;
    (void)awa_attempt_cancel_fd(job);
    if (awa_attempt_id(job) % 3 == 0 && awa_attempt_set_output(job, "\"said\"", 6) != AWA_OK)
        return AWA_RETRY;
    if (awa_attempt_id(job) % 3 == 1 && awa_attempt_transaction(job, &conn, NULL) != AWA_OK)
        return AWA_RETRY;
    if (awa_attempt_id(job) % 3 == 2 && awa_attempt_number(job) == 1) {
        awa__ignore(awa_attempt_set_error(job, "not yet"));
        awa_attempt_set_delay(job, 1);
        return AWA_RETRY;
    }
    return AWA_COMPLETE;
}

static void
print(void *userdata, const char *line)
{
    (void)userdata;
    dprintf(STDERR_FILENO, "awa: %s\n", line);
}

/* Until all have ended well, or nothing moves. */
static bool
wait_for_all(awa_worker *worker, int64_t n)
{
    awa_worker_stats stats = { .size = sizeof stats };
    int64_t seen = -1, moved_at = now_ms();

    while (now_ms() - moved_at < STILL_MS) {
        awa_worker_get_stats(worker, &stats);
        if (stats.completed >= n)
            return true;
        if (stats.claimed + stats.completed + stats.failed != seen)
            moved_at = now_ms();
        seen = stats.claimed + stats.completed + stats.failed;
        (void)usleep(NAP_US);
    }
    dprintf(STDERR_FILENO, "awa: %" PRId64 " of %" PRId64 " jobs completed\n", stats.completed, n);
    return false;
}

static void
auto_worker(awa_worker **worker)
{
    (void)awa_worker_free(*worker);
}

static awa_status
work(int64_t n, bool *ret_all, awa_error *err)
{
    static const awa_kind kind = { .handler = handle };
    AUTO(worker) awa_worker *worker = NULL;
    awa_status s =
        awa_worker_new(AWA_WORKER(.conninfo = getenv("AWA_DATABASE_URL"), .kinds = &kind,
                                  .nkinds = 1, .threads = 2, .poll_ms = 50, .log = print),
                       &worker, err);

    if (s == AWA_OK)
        s = awa_worker_start(worker, err);
    if (s != AWA_OK)
        return s;
    *ret_all = wait_for_all(worker, n);
    return awa_worker_stop(worker, STOP_MS, err);
}

int
main(int argc, char **argv)
{
    bool all = false;
    awa_error err;

    (void)fcntl(STDIN_FILENO, F_GETFD); /* here main() begins, for whoever traces us */
    if (argc != 2)
        return 2;
    if (work(strtoll(argv[1], NULL, 10), &all, &err) == AWA_OK)
        return !all;
    dprintf(STDERR_FILENO, "awa: %s\n", err.message);
    return 1;
}
