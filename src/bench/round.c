/* SPDX-License-Identifier: MIT */
#include "bench/round.h"

#include <math.h>

#include "bench/clock.h"
#include "bench/metric.h"
#include "pg/interrupt.h"
#include "statements_bench.h"

enum {
    NAP_US = 1000,       /* between two looks while it waits */
    STUCK_US = 20000000, /* nothing has moved for so long: the rest is lost */
};

/* ---- Waiting ----------------------------------------------------------------------------- */

static int64_t
jobs_so_far(struct round *r)
{
    int64_t durable = atomic_load(&r->tally.durable);

    return durable > 0 ? durable : atomic_load(&r->tally.committed);
}

/* Shows the pace. Fails if there is no point in going on. p may be NULL. */
static awa_status
look(struct round *r, struct producers *p, awa_error *err)
{
    pace_show(r->pace, jobs_so_far(r));
    if (p != NULL && producers_failed(p))
        return producers_join(p, err);
    return interrupt_check(err);
}

static awa_status
pause_until(struct round *r, struct producers *p, int64_t us, awa_error *err)
{
    awa_status s = AWA_OK;
    int64_t now;

    while (s == AWA_OK && (now = clock_us()) < us) {
        clock_sleep_until(us - now < 50 * NAP_US ? us : now + 50 * NAP_US);
        s = look(r, p, err);
    }
    return s;
}

static awa_status
wait_for(struct round *r, struct producers *p, atomic_int_least64_t *count, int64_t goal,
         awa_error *err)
{
    int64_t last = -1, moved_us = clock_us();
    awa_status s = AWA_OK;

    while (s == AWA_OK) {
        int64_t n = atomic_load(count), now = clock_us();

        if (n >= goal || now - moved_us > STUCK_US)
            return AWA_OK;
        if (n != last)
            moved_us = now;
        last = n;
        clock_sleep_until(now + NAP_US);
        s = look(r, p, err);
    }
    return s;
}

awa_status
round_wait_inserted(struct round *r, struct producers *p, int64_t jobs, awa_error *err)
{
    return wait_for(r, p, &r->tally.committed, jobs, err);
}

awa_status
round_wait_durable(struct round *r, int64_t jobs, awa_error *err)
{
    return wait_for(r, NULL, &r->tally.durable, jobs, err);
}

/* ---- What flows do ----------------------------------------------------------------------- */

static void
note(struct round *r, struct reading *reading)
{
    reading->inserted = atomic_load(&r->tally.committed);
    reading->durable = atomic_load(&r->tally.durable);
    reading->at_us = clock_us();
}

/* To read the costs takes time that must not be measured. So round_begin() reads them first, */
awa_status
round_begin(struct round *r, awa_error *err)
{
    awa_status s = meter_read(&r->meter, &r->begin.costs, err);

    note(r, &r->begin);
    return s;
}

/* and round_end() reads them last. */
awa_status
round_end(struct round *r, awa_error *err)
{
    note(r, &r->end);
    return meter_read(&r->meter, &r->end.costs, err);
}

awa_status
round_window(struct round *r, struct producers *p, awa_error *err)
{
    int64_t warm_us = clock_us() + r->plan->warmup * 1000000;
    awa_status s;

    pace_begin(r->pace, "warm-up", jobs_so_far(r));
    s = pause_until(r, p, warm_us, err);
    if (s == AWA_OK)
        s = round_begin(r, err);
    pace_begin(r->pace, "measuring", jobs_so_far(r));
    producers_measure(p, true);
    if (s == AWA_OK)
        s = pause_until(r, p, r->begin.at_us + r->plan->seconds * 1000000, err);
    producers_measure(p, false);
    return s == AWA_OK ? round_end(r, err) : s;
}

awa_status
round_join(struct round *r, struct producers *p, awa_error *err)
{
    awa_status s;

    tally_close(&r->tally);
    s = producers_join(p, err);
    producers_times(p, &r->insert, &r->late);
    return s;
}

/* ---- What was found ---------------------------------------------------------------------- */

static double
share(double a, double b)
{
    return b > 0 ? a / b : NAN;
}

/* Puts p50, p95, p99 and max, whose places follow one another. */
static void
put_times(double *values, struct samples *s)
{
    samples_sort(s);
    values[0] = samples_percentile_ms(s, 50);
    values[1] = samples_percentile_ms(s, 95);
    values[2] = samples_percentile_ms(s, 99);
    values[3] = samples_percentile_ms(s, 100);
}

static void
put_latencies(struct round *r, double *values)
{
    AUTO(samples) struct samples pickup = { 0 };
    AUTO(samples) struct samples e2e = { 0 };

    tally_latencies(&r->tally, r->begin.at_us, r->end.at_us, &pickup, &e2e);
    put_times(values + PICKUP_P50, &pickup);
    put_times(values + E2E_P50, &e2e);
    put_times(values + INSERT_P50, &r->insert);
    put_times(values + LATE_P50, &r->late);
}

static void
put_rates(const struct round *r, bool completes, double *values)
{
    double seconds = (double)(r->end.at_us - r->begin.at_us) / 1e6;
    double inserted = (double)(r->end.inserted - r->begin.inserted);
    double jobs = completes ? (double)(r->end.durable - r->begin.durable) : inserted;

    values[SECONDS] = seconds;
    values[JOBS] = jobs;
    values[JOBS_PER_S] = share(jobs, seconds);
    values[INSERTED_PER_S] = inserted > 0 ? share(inserted, seconds) : NAN;
    values[WAL_BYTES_PER_JOB] = share(r->end.costs.wal_bytes - r->begin.costs.wal_bytes, jobs);
    values[CPU_CLIENT] = r->end.costs.client_s - r->begin.costs.client_s;
    values[CPU_SERVER] = r->end.costs.server_s - r->begin.costs.server_s;
    values[FLOOR_JOBS_PER_S] = share((double)r->floor.rows * 1e6, (double)r->floor.us);
    values[FLOOR_RATIO] = share(values[JOBS_PER_S], values[FLOOR_JOBS_PER_S]);
}

static void
put_counts(struct round *r, bool completes, double *values)
{
    double jobs = (double)atomic_load(completes ? &r->tally.durable : &r->tally.committed);

    values[COMMITS_PER_JOB] = share(r->after.commits - r->before.commits, jobs);
    values[QUERIES_PER_JOB] = completes ? share((double)r->queries, jobs) : NAN;
    values[RING_INSERTS] = r->after.inserts - r->before.inserts;
    values[RING_UPDATES] = r->after.updates - r->before.updates;
    values[RING_DELETES] = r->after.deletes - r->before.deletes;
    values[DEAD_TUPLES] = r->after.dead;
    values[RING_ROTATIONS] = r->after.rotations - r->before.rotations;
    values[RING_BYTES] = r->after.ring_bytes;
    values[LOST] = (double)r->balance.lost;
    values[DUPLICATED] = (double)r->balance.duplicated;
}

/* ---- The round --------------------------------------------------------------------------- */

static awa_status
run_floor(struct round *r, awa_error *err)
{
    if (!r->plan->floor)
        return AWA_OK;
    pace_begin(r->pace, "floor", 0);
    return floor_run(r->conninfo, r->plan, r->plan->seconds * 1000000 / 2, &r->floor, err);
}

static awa_status
set_shards(const struct round *r, awa_error *err)
{
    AUTO(pgresult) PGresult *res = NULL;
    char shards[24];

    snprintf(shards, sizeof shards, "%lld", (long long)r->plan->shards);
    return awa__query(r->meter.conn, SQL_BENCH_SHARDS, (const char *[]){ shards }, &res, err);
}

static awa_status
set_settings(const struct round *r, awa_error *err)
{
    AUTO(pgresult) PGresult *res = NULL;
    char bytes[24], seconds[24];

    snprintf(bytes, sizeof bytes, "%lld", (long long)r->plan->slot_bytes);
    snprintf(seconds, sizeof seconds, "%lld", (long long)r->plan->keep_seconds);
    return awa__query(r->meter.conn, SQL_BENCH_SETTINGS, (const char *[]){ bytes, seconds }, &res,
                      err);
}

static awa_status
open_round(struct round *r, awa_error *err)
{
    awa_status s = tally_init(&r->tally, err);

    if (s == AWA_OK)
        s = meter_init(&r->meter, r->conninfo, err);
    if (s == AWA_OK)
        s = set_shards(r, err);
    if (s == AWA_OK)
        s = set_settings(r, err);
    if (s == AWA_OK)
        s = holder_init(&r->holder, r->plan->hold, r->conninfo, err);
    return s;
}

static void
auto_round(struct round *r)
{
    holder_done(&r->holder);
    meter_done(&r->meter);
    tally_done(&r->tally);
    samples_done(&r->insert);
    samples_done(&r->late);
}

static awa_status
run_flow(struct round *r, const struct flow *flow, awa_error *err)
{
    int others = holder_sessions(r->plan->hold);
    awa_status s = AWA_OK;

    pace_begin(r->pace, flow->name, 0);
    if (flow->prepare != NULL)
        s = flow->prepare(r, err);
    meter_checkpoint(&r->meter);
    if (s == AWA_OK)
        s = meter_count(&r->meter, others, &r->before, err);
    if (s == AWA_OK)
        s = flow->run(r, err);
    if (s == AWA_OK)
        s = meter_count(&r->meter, others, &r->after, err);
    if (s == AWA_OK)
        s = holder_check(&r->holder, err);
    return s;
}

awa_status
round_run(const struct flow *flow, const struct plan *plan, const char *conninfo, struct pace *pace,
          double *values, awa_error *err)
{
    AUTO(round) struct round r = { .plan = plan, .conninfo = conninfo, .pace = pace };
    awa_status s = open_round(&r, err);

    if (s == AWA_OK)
        s = run_floor(&r, err);
    if (s == AWA_OK)
        s = run_flow(&r, flow, err);
    if (s == AWA_OK)
        s = run_floor(&r, err);
    pace_done(pace);
    if (s != AWA_OK)
        return s;
    put_rates(&r, flow->completes, values);
    put_counts(&r, flow->completes, values);
    put_latencies(&r, values);
    return AWA_OK;
}
