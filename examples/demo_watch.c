/* SPDX-License-Identifier: MIT */
/*
 * Watches the demo from the first job to the last: draws, counts, kills a worker and waits until
 * its jobs run again.
 */
#include <poll.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "demo.h"

enum {
    TURN_MS = 50,
    SAMPLE_MS = 125,
    PICKUP_MAX = 60000,
    COUNT_MS = 100, /* between two counts at the end */
    IDLE_COUNT_MS = 2000,
};

int
signal_wait(int signal_fd, int timeout_ms)
{
    struct pollfd fd = { .fd = signal_fd, .events = POLLIN };
    struct signalfd_siginfo info;

    if (poll(&fd, 1, timeout_ms) == 1 && read(signal_fd, &info, sizeof info) == sizeof info)
        return (int)info.ssi_signo;
    return 0;
}

/* ---- Numbers ----------------------------------------------------------------------------- */

static int
percentile(const int *histogram, int64_t n, int percent)
{
    int64_t below = (n * percent + 99) / 100;

    for (int ms = 0; ms <= PICKUP_MAX; ms++) {
        below -= histogram[ms];
        if (below <= 0)
            return ms;
    }
    return PICKUP_MAX;
}

void
pickups_read(struct board *b, size_t jobs, bool no_queue, struct pickups *ret)
{
    int *histogram = calloc(PICKUP_MAX + 1, sizeof *histogram);

    *ret = (struct pickups){ 0 };
    if (histogram == NULL)
        return;
    for (size_t i = 0; i < jobs; i++) {
        struct note *note = &b->notes[i];
        int ms = atomic_load(&note->pickup_ms);

        if (atomic_load(&note->started_ms) == 0 || (no_queue && !atomic_load(&note->no_queue)))
            continue;
        histogram[ms < PICKUP_MAX ? ms : PICKUP_MAX]++;
        ret->n++;
    }
    ret->p50 = percentile(histogram, ret->n, 50);
    ret->p99 = percentile(histogram, ret->n, 99);
    free(histogram);
}

/* Measures rates between the oldest sample and a new one. */
static void
measure_rates(struct watch *w, int64_t now)
{
    struct progress *p = &w->progress;
    struct sample newest = { now, p->done, atomic_load(&w->board->bytes) }, oldest;
    int64_t passed;

    if (w->nsamples > 0 && now - w->samples[(w->nsamples - 1) % SAMPLES].ms < SAMPLE_MS)
        return;
    w->samples[w->nsamples++ % SAMPLES] = newest;
    oldest = w->samples[w->nsamples < SAMPLES ? 0 : w->nsamples % SAMPLES];
    passed = newest.ms - oldest.ms + 1;
    p->rate = (newest.done - oldest.done) * 1000 / passed;
    p->byte_rate = (newest.bytes - oldest.bytes) * 1000 / passed;
    p->mean_rate = p->done * 1000 / (now - w->start_ms + 1);
}

static void
measure(struct watch *w)
{
    struct progress *p = &w->progress;
    int64_t now = now_ms(), done = atomic_load(&w->board->done);
    size_t jobs = atomic_load(&w->feed->enqueued);
    struct pickups pickups;

    if (done > p->done) {
        w->progress_ms = now;
        alarm(PATIENCE_S);
    }
    p->done = done;
    p->retries = atomic_load(&w->board->retries);
    measure_rates(w, now);
    if (!view_is_due(w->view))
        return;
    board_count(w->board, jobs, p->states);
    pickups_read(w->board, jobs, false, &pickups);
    p->pickup_p50 = pickups.p50;
    p->pickup_p99 = pickups.p99;
}

/* ---- The kill ---------------------------------------------------------------------------- */

static bool
kill_turn(struct watch *w)
{
    int victim = atomic_load(&w->board->victim);

    if (w->killed >= 0 || victim < 0)
        return true;
    crew_kill_one(w->crew, victim);
    w->killed = victim;
    w->killed_ms = now_ms();
    if (!base_held(w->base, w->killed, &w->held, &w->nheld))
        return false;
    atomic_store(&w->feed->held, w->nheld);
    view_event(w->view, "worker %d (pid %d) killed with SIGKILL while holding %zu job%s",
               w->killed + 1, (int)w->crew->members[w->killed].pid, w->nheld,
               w->nheld == 1 ? "" : "s");
    return true;
}

/* Prints a line once all jobs of the killed worker have been started again. */
static void
recovery_turn(struct watch *w)
{
    int64_t first = INT64_MAX, last = 0;

    if (w->killed < 0 || w->held_again)
        return;
    for (size_t i = 0; i < w->nheld; i++) {
        struct note *note = board_note(w->board, w->held[i]);
        int64_t started = note != NULL ? atomic_load(&note->started_ms) : 0;

        if (started <= w->killed_ms)
            return;
        first = started < first ? started : first;
        last = started > last ? started : last;
    }
    w->held_again = true;
    atomic_store(&w->feed->held, 0);
    if (w->nheld > 0)
        view_event(w->view,
                   "what it held runs again: the first job after %.1f s, the last after %.1f s",
                   (double)(first - w->killed_ms) / 1000, (double)(last - w->killed_ms) / 1000);
}

/* ---- The crew ---------------------------------------------------------------------------- */

static void
hear(void *arg, int worker, const char *line)
{
    struct watch *w = arg;

    view_event(w->view, "worker %d: %s", worker + 1, line);
}

static bool
check_crew(struct watch *w)
{
    crew_look(w->crew); /* before crew_listen(), so that the last lines of a worker are read */
    crew_listen(w->crew, hear, w);
    for (int i = 0; i < WORKERS; i++)
        if (w->crew->members[i].state == MEMBER_LOST)
            return complain("worker %d has ended, and nobody asked it to", i + 1);
    return true;
}

/* ---- The loop ---------------------------------------------------------------------------- */

/*
 * Finds the end by counting in the database. That reads every job, so it is done only when the
 * board says that all have ended, or when nothing has moved for a while. The board may be ahead,
 * because a kill undoes an end that was not yet sent, or behind, because jobs may end without a
 * handler.
 */
static bool
count_turn(struct watch *w, bool *ret_end)
{
    int64_t now = now_ms(), ended, live;
    bool all = w->progress.done >= w->progress.total;

    if (now - w->counted_ms < (all ? COUNT_MS : IDLE_COUNT_MS) ||
        (!all && now - w->progress_ms < IDLE_COUNT_MS))
        return true;
    if (!base_count(w->base, &ended, &live))
        return false;
    w->counted_ms = now_ms();
    *ret_end = live == 0 && ended == w->progress.total;
    return true;
}

/* One turn of the loop; *ret_end: it was the last. */
static bool
turn(struct watch *w, bool *ret_end)
{
    measure(w);
    if (!check_crew(w) || !kill_turn(w) || !count_turn(w, ret_end))
        return false;
    recovery_turn(w);
    if (atomic_load(&w->feed->failed))
        return false; /* the feeder has complained */
    if (ferror(stdout))
        return complain("the output is gone");
    if (view_is_due(w->view))
        view_draw(w->view, &w->progress);
    return true;
}

int
watch_run(struct watch *w)
{
    bool end = false;

    w->killed = -1;
    w->start_ms = w->progress_ms = now_ms();
    w->progress.crew = w->crew;
    while (!end) {
        int sig;

        if (!turn(w, &end))
            return -1;
        sig = signal_wait(w->signal_fd, end ? 0 : TURN_MS);
        if (sig != 0)
            return sig;
    }
    w->view->drawn_ms = 0; /* draw once more, with the last numbers */
    measure(w);
    view_draw(w->view, &w->progress);
    view_keep(w->view);
    return 0;
}

void
watch_done(struct watch *w)
{
    free(w->held);
    w->held = NULL;
}
