/* SPDX-License-Identifier: MIT */
/*
 * A worker with an event loop and without threads of its own. Up to a thousand attempts wait at the
 * same time, each for a tenth of a second, as they would for the answer of another server. usage:
 * pull [CONNINFO [N]]; ends after N attempts, or with Ctrl-C.
 */
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <awa/awa.h>

enum { SLOTS = 1000, WAIT_MS = 100 };

/* A ring, in the order in which the attempts are due. */
static struct waiting {
    awa_attempt *attempt;
    int64_t due;
} waiting[SLOTS];
static size_t first, n;

static volatile sig_atomic_t stopping;

static void
stop(int signal)
{
    (void)signal;
    stopping = 1;
}

static void
must(awa_status status, const awa_error *err)
{
    if (status == AWA_OK)
        return;
    fprintf(stderr, "%s\n", err->message);
    exit(1);
}

static int64_t
now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Takes the attempts that are there, without waiting. */
static void
begin(awa_worker *worker)
{
    awa_attempt *attempt;

    while (n < SLOTS && awa_worker_take(worker, 0, &attempt, NULL) == AWA_OK && attempt != NULL)
        waiting[(first + n++) % SLOTS] = (struct waiting){ attempt, now_ms() + WAIT_MS };
}

/* Ends the attempts that are due. Returns how many. */
static long
finish(awa_worker *worker)
{
    long ended = 0;

    while (awa_worker_next_cancelled(worker) != NULL)
        ; /* it is due soon, and awa_attempt_cancelled() then says that it should end */
    for (; n > 0 && waiting[first].due <= now_ms(); n--, ended++) {
        awa_attempt *a = waiting[first].attempt;

        awa_attempt_end(&a, awa_attempt_cancelled(a) == AWA_GO_ON ? AWA_COMPLETE : AWA_RETRY);
        first = (first + 1) % SLOTS;
    }
    return ended;
}

int
main(int argc, char **argv)
{
    long wanted = argc > 2 ? strtol(argv[2], NULL, 10) : LONG_MAX, ended = 0;
    struct pollfd fd = { .events = POLLIN };
    awa_worker *worker;
    awa_error err;

    signal(SIGINT, stop);
    must(awa_worker_new(AWA_WORKER(.conninfo = argc > 1 ? argv[1] : NULL, .threads = SLOTS),
                        &worker, &err),
         &err);
    must(awa_worker_start(worker, &err), &err);
    fd.fd = awa_worker_fd(worker);
    while (!stopping && ended < wanted) {
        int64_t due = n > 0 ? waiting[first].due - now_ms() : -1;

        (void)poll(&fd, n < SLOTS, n == 0 ? -1 : due > 0 ? (int)due : 0);
        begin(worker);
        ended += finish(worker);
    }
    awa_worker_drain(worker);
    while (n > 0) {
        (void)poll(NULL, 0, WAIT_MS);
        (void)finish(worker);
    }
    must(awa_worker_stop(worker, 10000, &err), &err);
    awa_worker_free(worker);
    return 0;
}
