/* SPDX-License-Identifier: MIT */
/* Threads that insert jobs, each on a session of its own. */
#ifndef AWA_BENCH_PRODUCERS_H
#define AWA_BENCH_PRODUCERS_H

#include "bench/plan.h"
#include "bench/tally.h"

struct producers; /* opaque */

/* What producers do, besides what the plan says. They borrow all of it until they are freed. */
struct feed {
    const char *conninfo;
    const struct plan *plan;
    struct tally *tally;
    int64_t limit; /* jobs; 0: until the tally is closed */
    int64_t depth; /* the most jobs on their way; 0: any number */
    int64_t rate;  /* jobs per second, evenly; 0: as fast as they can */
    bool pickup;   /* note when the COMMIT was sent, for pick-up times */
};

/* Connects all producers, then lets them run. */
awa_status producers_start(const struct feed *feed, struct producers **ret_producers,
                           awa_error *err) AWA_CHECKED;

/* Whether a producer has failed: then the others have stopped, too. */
bool producers_failed(struct producers *p);

/* Tells producers to note how long things take, or to note no more. */
void producers_measure(struct producers *p, bool on);

/*
 * Waits until all producers have ended, because the tally is closed or the limit is reached.
 * Returns the first failure.
 */
awa_status producers_join(struct producers *p, awa_error *err) AWA_CHECKED;

/*
 * Times, after the join. insert: of one transaction up to its commit. late: how much later than the
 * given rate wants a batch began.
 */
void producers_times(const struct producers *p, struct samples *insert, struct samples *late);

/* Accepts NULL, returns NULL. Stops producers that still run. */
struct producers *producers_free(struct producers *p);

static inline void
auto_producers(struct producers **p)
{
    (void)producers_free(*p);
}

#endif
