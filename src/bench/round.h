/* SPDX-License-Identifier: MIT */
/*
 * One measurement of a flow of jobs, in a database of its own: half of the floor, the jobs, and the
 * other half of the floor. So a machine that changes its pace changes it for both.
 */
#ifndef AWA_BENCH_ROUND_H
#define AWA_BENCH_ROUND_H

#include "bench/floor.h"
#include "bench/holder.h"
#include "bench/meter.h"
#include "bench/producers.h"
#include "bench/pace.h"

/* Counts and costs at one moment. */
struct reading {
    int64_t at_us;
    int64_t inserted, durable; /* jobs so far */
    struct costs costs;
};

struct round {
    const struct plan *plan;
    const char *conninfo;
    struct pace *pace;
    struct tally tally;
    struct meter meter;
    struct holder holder;
    struct floor_sum floor;
    struct reading begin, end; /* of the measured time */
    struct counts before, after;
    struct samples insert, late;
    struct tally_balance balance;
    int64_t queries; /* statements of the workers */
};

/* A mode: what happens in a round. */
struct flow {
    const char *name;
    bool completes;                                         /* jobs are run, not only inserted */
    awa_status (*prepare)(struct round *r, awa_error *err); /* not measured; may be NULL */
    awa_status (*run)(struct round *r, awa_error *err);
};

extern const struct flow flow_insert, flow_drain, flow_steady;

/* Runs a round and puts its results into values, which has room for FLOW_METRICS. */
awa_status round_run(const struct flow *flow, const struct plan *plan, const char *conninfo,
                     struct pace *pace, double *values, awa_error *err) AWA_CHECKED;

/* ---- For flows ---------------------------------------------------------------------------- */

/* The measured time begins, or ends, now. */
awa_status round_begin(struct round *r, awa_error *err) AWA_CHECKED;
awa_status round_end(struct round *r, awa_error *err) AWA_CHECKED;

/* Lets the producers warm up, then measures for the time that the plan says. */
awa_status round_window(struct round *r, struct producers *p, awa_error *err) AWA_CHECKED;

/* Ends the producers, and takes over the times that they have noted. */
awa_status round_join(struct round *r, struct producers *p, awa_error *err) AWA_CHECKED;

/*
 * Waits until that many jobs are inserted, or durably completed, or until nothing has moved for 20
 * s.
 */
awa_status round_wait_inserted(struct round *r, struct producers *p, int64_t jobs,
                               awa_error *err) AWA_CHECKED;
awa_status round_wait_durable(struct round *r, int64_t jobs, awa_error *err) AWA_CHECKED;

#endif
