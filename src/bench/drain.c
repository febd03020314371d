/* SPDX-License-Identifier: MIT */
/* The mode drain: all jobs are there before the workers come. */
#include "bench/clock.h"
#include "bench/crew.h"
#include "bench/round.h"

static awa_status
prepare(struct round *r, awa_error *err)
{
    const struct feed feed = {
        .conninfo = r->conninfo, .plan = r->plan, .tally = &r->tally, .limit = r->plan->jobs
    };
    AUTO(producers) struct producers *p = NULL;
    awa_status s = producers_start(&feed, &p, err);

    if (s == AWA_OK)
        s = round_wait_inserted(r, p, r->plan->jobs, err);
    return s == AWA_OK ? round_join(r, p, err) : s;
}

static awa_status
run(struct round *r, awa_error *err)
{
    AUTO(crew) struct crew *c = NULL;
    awa_status s = crew_new(r->conninfo, r->plan, &r->tally, &c, err);

    if (s == AWA_OK)
        s = round_begin(r, err);
    tally_resend(&r->tally, r->begin.at_us); /* times of jobs are counted from the workers' start */
    if (s == AWA_OK)
        s = crew_start(c, err);
    if (s == AWA_OK)
        s = round_wait_durable(r, r->plan->jobs, err);
    if (s == AWA_OK)
        s = round_end(r, err);
    if (s == AWA_OK)
        s = crew_stop(c, err);
    if (s != AWA_OK)
        return s;
    r->queries = crew_queries(c);
    r->balance = tally_balance(&r->tally);
    return AWA_OK;
}

const struct flow flow_drain = {
    .name = "drain", .completes = true, .prepare = prepare, .run = run
};
