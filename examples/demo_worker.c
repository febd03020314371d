/* SPDX-License-Identifier: MIT */
/*
 * A worker process, as an application would write it. Its handler computes a digest; libawa does
 * the rest: claims, retries, heartbeats.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "demo.h"

enum { STOP_MS = 10000 };

struct station {
    struct board *board;
    int worker;
};

/* ---- For the view ------------------------------------------------------------------------ */

static int
waited_ms(const awa_attempt *job)
{
    struct timespec t;
    int64_t ms;

    clock_gettime(CLOCK_REALTIME, &t);
    ms = (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000 - awa_attempt_enqueued_ms(job);
    return ms < 0 ? 0 : ms < INT_MAX ? (int)ms : INT_MAX;
}

/*
 * Once KILL_PERCENT of the jobs have begun, the next worker that begins one is to be killed. Its
 * handler waits here, so that the kill certainly hits a running job.
 */
static void
face_death(const struct station *at, int64_t begun)
{
    struct board *b = at->board;
    int nobody = -1;

    if (begun * 100 >= (int64_t)b->capacity * KILL_PERCENT &&
        atomic_compare_exchange_strong(&b->victim, &nobody, at->worker))
        (void)poll(NULL, 0, VICTIM_MS);
}

static void
note_begin(const struct station *at, const awa_attempt *job)
{
    struct note *note = board_note(at->board, awa_attempt_id(job));

    if (note == NULL)
        return;
    atomic_store(&note->pickup_ms, waited_ms(job));
    atomic_store(&note->started_ms, now_ms());
    atomic_store(&note->state, NOTE_RUNNING);
    if (atomic_fetch_add(&note->runs, 1) == 0)
        face_death(at, atomic_fetch_add(&at->board->started, 1) + 1);
}

static void
note_end(const struct station *at, const awa_attempt *job, enum note_state state)
{
    struct note *note = board_note(at->board, awa_attempt_id(job));

    if (state == NOTE_RETRYABLE)
        atomic_fetch_add(&at->board->retries, 1);
    else if (note != NULL && !atomic_exchange(&note->ended, true))
        atomic_fetch_add(&at->board->done, 1);
    if (note != NULL)
        atomic_store(&note->state, state);
}

/* ---- The handler ------------------------------------------------------------------------- */

static awa_outcome
succeed(awa_attempt *job, const struct digest *d)
{
    char output[200];
    int len = snprintf(output, sizeof output,
                       "{\"sha256\": \"%s\", \"bytes\": %" PRId64 ", \"packed\": %" PRId64 "}",
                       d->sha256, d->bytes, d->packed);

    if (awa_attempt_set_output(job, output, (size_t)len) != AWA_OK)
        return AWA_RETRY;
    return AWA_COMPLETE;
}

/* Retries: the file may come back. The queue gives up when no attempts are left. */
static awa_outcome
retry(awa_attempt *job, const char *path, int error)
{
    char *text = NULL;

    if (asprintf(&text, "%s: %s", path, strerrordesc_np(error)) >= 0) {
        if (awa_attempt_set_error(job, text) != AWA_OK)
            (void)complain("job %" PRId64 ": out of memory", awa_attempt_id(job));
        free(text);
    }
    awa_attempt_set_delay(job, RETRY_MS);
    return AWA_RETRY;
}

/* Which state a job will have after this outcome. */
static enum note_state
state_of(const awa_attempt *job, awa_outcome outcome)
{
    if (outcome == AWA_COMPLETE)
        return NOTE_COMPLETED;
    return awa_attempt_number(job) < awa_attempt_max_attempts(job) ? NOTE_RETRYABLE : NOTE_FAILED;
}

static awa_outcome
digest_job(awa_attempt *job, void *userdata)
{
    struct station *at = userdata;
    char *path = path_of_args(awa_attempt_args(job, NULL));
    struct digest d;
    awa_outcome outcome;
    int error;

    note_begin(at, job);
    error = path != NULL ? digest_file(path, &d) : EINVAL;
    outcome = error == 0 ? succeed(job, &d) : retry(job, path != NULL ? path : "url", error);
    if (outcome == AWA_COMPLETE)
        atomic_fetch_add(&at->board->bytes, d.bytes);
    note_end(at, job, state_of(job, outcome));
    free(path);
    return outcome;
}

/* ---- The process ------------------------------------------------------------------------- */

static void
say(void *userdata, const char *line)
{
    (void)userdata;
    fprintf(stderr, "%s\n", line); /* the parent reads it */
}

static bool
work(struct station *at, const sigset_t *stop)
{
    awa_worker *worker = NULL;
    awa_error err;
    awa_status s;
    char name[32];
    int sig;

    worker_name(at->worker, name);
    s = awa_worker_new(AWA_WORKER(.conninfo = getenv(WORKER_CONNINFO), .name = name,
                                  .kinds = &(awa_kind){ KIND, digest_job, at }, .nkinds = 1,
                                  .threads = THREADS, .log = say),
                       &worker, &err);
    if (s == AWA_OK)
        s = awa_worker_start(worker, &err);
    if (s == AWA_OK) {
        (void)sigwait(stop, &sig);
        s = awa_worker_stop(worker, STOP_MS, &err);
    }
    (void)awa_worker_free(worker);
    return s == AWA_OK || complain("%s", err.message);
}

int
worker_main(char **args)
{
    struct station at = { .worker = (int)strtol(args[0], NULL, 10) };
    sigset_t stop;
    bool ok;

    /* Ends with the parent. If the parent ended before prctl(), we have another one by now. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != (pid_t)strtol(args[2], NULL, 10))
        return EXIT_FAILURE;
    (void)signal(SIGINT, SIG_IGN); /* the parent handles Ctrl-C */
    (void)sigemptyset(&stop);
    (void)sigaddset(&stop, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, &stop, NULL); /* before there are threads */

    at.board = board_map((int)strtol(args[1], NULL, 10));
    if (at.board == NULL)
        return EXIT_FAILURE;
    ok = work(&at, &stop);
    board_free(at.board);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
