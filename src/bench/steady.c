/* SPDX-License-Identifier: MIT */
/* The mode steady: producers and workers at the same time. */
#include "bench/crew.h"
#include "bench/round.h"

/* Lets the workers run all that was inserted, and then stops them. */
static awa_status
finish(struct round *r, struct producers *p, struct crew *c, awa_error *err)
{
    awa_status s = round_join(r, p, err);

    if (s == AWA_OK)
        s = round_wait_durable(r, atomic_load(&r->tally.committed), err);
    if (s == AWA_OK)
        s = crew_stop(c, err);
    if (s != AWA_OK)
        return s;
    r->queries = crew_queries(c);
    r->balance = tally_balance(&r->tally);
    r->balance.lost += crew_unmatched(c);
    return AWA_OK;
}

/* Lets a job follow from each. */
static awa_status
add_rule(const struct round *r, awa_error *err)
{
    return awa_follow_rule_set(
        r->meter.conn,
        AWA_FOLLOW_RULE(.name = "bench", .on = "ended", .kind = "bench",
                        .job_json = "{\"kind\":\"next\",\"queue\":\"next\"}"),
        err);
}

static awa_status
run(struct round *r, awa_error *err)
{
    const struct feed feed = { .conninfo = r->conninfo,
                               .plan = r->plan,
                               .tally = &r->tally,
                               .depth = r->plan->depth,
                               .rate = r->plan->rate,
                               .pickup = true };
    AUTO(crew) struct crew *c = NULL;
    AUTO(producers) struct producers *p = NULL; /* freed first: it may wait for the crew */
    awa_status s = crew_new(r->conninfo, r->plan, &r->tally, &c, err);

    if (s == AWA_OK && r->plan->follow)
        s = add_rule(r, err);
    if (s == AWA_OK)
        s = crew_start(c, err);
    if (s == AWA_OK)
        s = producers_start(&feed, &p, err);
    if (s == AWA_OK)
        s = round_window(r, p, err);
    return s == AWA_OK ? finish(r, p, c, err) : s;
}

const struct flow flow_steady = { .name = "steady", .completes = true, .run = run };
