/* SPDX-License-Identifier: MIT */
/* The mode insert: producers, and no workers. */
#include "bench/round.h"
#include "statements_bench.h"

/* Checks that every job that was committed is in the queue, and once. */
static awa_status
check(struct round *r, awa_error *err)
{
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s = awa__query(r->meter.conn, SQL_BENCH_ENTRIES, NULL, &res, err);

    if (s != AWA_OK)
        return s;
    int64_t rows = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
    int64_t numbers = strtoll(PQgetvalue(res, 0, 1), NULL, 10);

    r->balance.lost = atomic_load(&r->tally.committed) - numbers;
    r->balance.duplicated = rows - numbers;
    return AWA_OK;
}

static awa_status
run(struct round *r, awa_error *err)
{
    const struct feed feed = { .conninfo = r->conninfo, .plan = r->plan, .tally = &r->tally };
    AUTO(producers) struct producers *p = NULL;
    awa_status s = producers_start(&feed, &p, err);

    if (s == AWA_OK)
        s = round_window(r, p, err);
    if (s == AWA_OK)
        s = round_join(r, p, err);
    return s == AWA_OK ? check(r, err) : s;
}

const struct flow flow_insert = { .name = "insert", .run = run };
