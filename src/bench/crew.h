/* SPDX-License-Identifier: MIT */
/*
 * Workers in this process, whose handlers note that a job ran. A watch asks the workers each
 * millisecond how many completions are durable. libawa does not tell that of a single job, so the
 * watch takes jobs for durable in the order in which their handlers ended. So an end-to-end time is
 * up to a millisecond too long, and may be that of another job of the same moment.
 */
#ifndef AWA_BENCH_CREW_H
#define AWA_BENCH_CREW_H

#include "bench/plan.h"
#include "bench/tally.h"

struct crew; /* opaque */

/* Connects and registers the workers. */
awa_status crew_new(const char *conninfo, const struct plan *plan, struct tally *tally,
                    struct crew **ret_crew, awa_error *err) AWA_CHECKED;

awa_status crew_start(struct crew *c, awa_error *err) AWA_CHECKED;

/*
 * Drains the workers. After that, what has ended is durable and counted. Jobs that follow have
 * FOLLOW_MS for that.
 */
awa_status crew_stop(struct crew *c, awa_error *err) AWA_CHECKED;

/* How many jobs did not follow from one that has ended, or followed twice; 0 without plan->follow.
 */
int64_t crew_unmatched(struct crew *c);

/* How many statements the workers have sent. */
int64_t crew_queries(struct crew *c);

/* Accepts NULL, returns NULL. */
struct crew *crew_free(struct crew *c);

static inline void
auto_crew(struct crew **c)
{
    (void)crew_free(*c);
}

#endif
