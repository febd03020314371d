/* SPDX-License-Identifier: MIT */
#include "bench/scheduled.h"

#include <math.h>
#include <string.h>

#include "bench/clock.h"
#include "bench/login.h"
#include "bench/metric.h"
#include "bench/payload.h"
#include "pg/interrupt.h"
#include "statements_bench.h"
#include "statements_worker.h"

enum {
    FILL_ROWS = 100000, /* by one statement */
    DELAY_MS = 200,     /* until the jobs of a turn are due: enough time to insert them */
    ROUNDS_UNTIMED = 1, /* the first one fills caches and plans */
    PROMOTE_MAX = 5000, /* jobs in a call of awa.promote_jobs() */
};

/* One of the two databases. */
struct stage {
    struct login login;
    int64_t promote_us, claim_us; /* of the last turn */
};

struct bench {
    const struct plan *plan;
    struct pace *pace;
    struct stage empty, full;
    char *payload;
    awa_job_options *jobs; /* of one turn */
    double *rounds;        /* SCHEDULED_METRICS of each */
};

static void
auto_bench(struct bench *b)
{
    login_done(&b->empty.login);
    login_done(&b->full.login);
    free(b->payload);
    free(b->jobs);
    free(b->rounds);
}

/* ---- Before ------------------------------------------------------------------------------ */

static awa_status
fill(struct bench *b, awa_error *err)
{
    awa_status s = awa__exec(b->full.login.conn, "bench", "SET statement_timeout = 0", err);

    pace_begin(b->pace, "filling", 0);
    for (int64_t done = 0; done < b->plan->rows && s == AWA_OK; done += FILL_ROWS) {
        int64_t left = b->plan->rows - done;
        char n[24], first[24];
        AUTO(pgresult) PGresult *res = NULL;

        snprintf(n, sizeof n, "%lld", (long long)(left < FILL_ROWS ? left : FILL_ROWS));
        snprintf(first, sizeof first, "%lld", (long long)done);
        pace_show(b->pace, done);
        s = awa__query(b->full.login.conn, SQL_BENCH_FILL, (const char *[]){ n, first, b->payload },
                       &res, err);
        if (s == AWA_OK)
            s = interrupt_check(err);
    }
    if (s == AWA_OK)
        s = awa__exec(b->full.login.conn, "bench", "VACUUM ANALYZE awa.deferred_jobs", err);
    awa__ignore(awa__exec(b->full.login.conn, "bench", "CHECKPOINT", NULL)); /* if we may */
    return s;
}

static awa_status
prepare(struct bench *b, const char *empty, const char *full, awa_error *err)
{
    size_t batch = (size_t)b->plan->batch;
    size_t len = (size_t)b->plan->payload_bytes;
    awa_status s;

    b->payload = calloc(1, len + 1);
    b->jobs = calloc(batch, sizeof *b->jobs);
    b->rounds = calloc((size_t)b->plan->repeat * SCHEDULED_METRICS, sizeof *b->rounds);
    if (b->payload == NULL || b->jobs == NULL || b->rounds == NULL)
        return awa__fail(err, AWA_ENOMEM, "bench: out of memory");
    payload_init(b->payload, len);
    for (size_t i = 0; i < batch; i++)
        b->jobs[i] = (awa_job_options){ .size = sizeof(awa_job_options),
                                        .kind = "bench",
                                        .args_json = b->payload };
    s = login_init(&b->empty.login, empty, err);
    if (s == AWA_OK)
        s = login_init(&b->full.login, full, err);
    return s == AWA_OK ? fill(b, err) : s;
}

/* ---- One turn ---------------------------------------------------------------------------- */

static awa_status
schedule(const struct bench *b, struct stage *st, awa_error *err)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    for (int64_t i = 0; i < b->plan->batch; i++)
        b->jobs[i].run_at_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 + DELAY_MS;
    return awa_jobs_insert(st->login.conn, b->jobs, (size_t)b->plan->batch, NULL, err);
}

static awa_status
promote(const struct bench *b, struct stage *st, awa_error *err)
{
    AUTO(pgresult) PGresult *res = NULL;
    int64_t began = clock_us();
    awa_status s =
        awa__query(st->login.conn, SQL_LEADER_PROMOTE, (const char *[]){ NULL }, &res, err);

    st->promote_us = clock_us() - began;
    if (s == AWA_OK && strtoll(PQgetvalue(res, 0, 0), NULL, 10) != b->plan->batch)
        return awa__fail(err, AWA_EDB, "bench: %s jobs were promoted, not %lld",
                         PQgetvalue(res, 0, 0), (long long)b->plan->batch);
    return s;
}

/* Completes all jobs that were claimed. They lie side by side in one slot. */
static awa_status
complete(struct stage *st, const PGresult *claimed, awa_error *err)
{
    int last = PQntuples(claimed) - 1;
    char slots[16], claims[32], positions[80];
    AUTO(pgresult) PGresult *res = NULL;

    snprintf(slots, sizeof slots, "{%s}", PQgetvalue(claimed, 0, 3));
    snprintf(claims, sizeof claims, "{%s}", PQgetvalue(claimed, 0, 2));
    snprintf(positions, sizeof positions, "{\"{[%s,%s]}\"}", PQgetvalue(claimed, 0, 0),
             PQgetvalue(claimed, last, 0));
    return awa__query(st->login.conn, SQL_JOBS_COMPLETE,
                      (const char *[]){ st->login.worker, slots, claims, positions }, &res, err);
}

static awa_status
claim(const struct bench *b, struct stage *st, awa_error *err)
{
    AUTO(pgresult) PGresult *res = NULL;
    char max[24];
    int64_t began = clock_us();
    awa_status s;

    snprintf(max, sizeof max, "%lld", (long long)b->plan->batch);
    s = awa__query(st->login.conn, SQL_JOBS_CLAIM,
                   (const char *[]){ st->login.worker, "default", max }, &res, err);
    st->claim_us = clock_us() - began;
    if (s == AWA_OK && PQntuples(res) != b->plan->batch)
        return awa__fail(err, AWA_EDB, "bench: %d jobs were claimed, not %lld", PQntuples(res),
                         (long long)b->plan->batch);
    return s == AWA_OK ? complete(st, res, err) : s;
}

static awa_status
promote_and_claim(const struct bench *b, struct stage *st, awa_error *err)
{
    awa_status s = promote(b, st, err);

    return s == AWA_OK ? claim(b, st, err) : s;
}

/* Takes a turn in both databases, each time in the other order. */
static awa_status
take_turns(struct bench *b, int64_t i, awa_error *err)
{
    struct stage *first = i % 2 == 0 ? &b->empty : &b->full;
    struct stage *second = i % 2 == 0 ? &b->full : &b->empty;
    awa_status s = schedule(b, first, err);

    if (s == AWA_OK)
        s = schedule(b, second, err);
    clock_sleep_until(clock_us() + (DELAY_MS + 1) * 1000);
    if (s == AWA_OK)
        s = interrupt_check(err);
    if (s == AWA_OK)
        s = promote_and_claim(b, first, err);
    return s == AWA_OK ? promote_and_claim(b, second, err) : s;
}

/* ---- What was found ---------------------------------------------------------------------- */

/* Derives the ratios from the times. `ratio` is the worse of the two. */
static void
put_ratios(double *values)
{
    values[PROMOTE_RATIO] = values[PROMOTE_MS_FULL] / values[PROMOTE_MS_EMPTY];
    values[CLAIM_RATIO] = values[CLAIM_MS_FULL] / values[CLAIM_MS_EMPTY];
    values[RATIO] = fmax(values[PROMOTE_RATIO], values[CLAIM_RATIO]);
}

static void
put_round(const struct bench *b, double *values)
{
    values[ROWS] = (double)b->plan->rows;
    values[PROMOTE_MS_EMPTY] = (double)b->empty.promote_us / 1000;
    values[PROMOTE_MS_FULL] = (double)b->full.promote_us / 1000;
    values[CLAIM_MS_EMPTY] = (double)b->empty.claim_us / 1000;
    values[CLAIM_MS_FULL] = (double)b->full.claim_us / 1000;
    put_ratios(values);
}

static awa_status
sum_up(const struct bench *b, double *overall, double *min, double *max, awa_error *err)
{
    size_t n = (size_t)b->plan->repeat;
    AUTO(free) double *column = calloc(n, sizeof *column);

    if (column == NULL)
        return awa__fail(err, AWA_ENOMEM, "bench: out of memory");
    for (size_t m = 0; m < SCHEDULED_METRICS; m++) {
        for (size_t i = 0; i < n; i++)
            column[i] = b->rounds[i * SCHEDULED_METRICS + m];
        min[m] = metric_min(column, n);
        max[m] = metric_max(column, n);
        overall[m] = metric_overall(&scheduled_metrics[m], column, n);
    }
    put_ratios(overall); /* of the medians, which noise moves less */
    return AWA_OK;
}

awa_status
scheduled_run(const struct plan *plan, const char *empty, const char *full, struct pace *pace,
              double *overall, double *min, double *max, awa_error *err)
{
    AUTO(bench) struct bench b = { .plan = plan, .pace = pace };
    awa_status s;

    if (plan->batch > PROMOTE_MAX)
        return awa__fail(err, AWA_EINVAL, "--batch: want at most %d", PROMOTE_MAX);
    s = prepare(&b, empty, full, err);
    pace_begin(pace, "measuring", 0);
    for (int64_t i = -ROUNDS_UNTIMED; i < plan->repeat && s == AWA_OK; i++) {
        s = take_turns(&b, i + ROUNDS_UNTIMED, err);
        if (s == AWA_OK && i >= 0)
            put_round(&b, b.rounds + i * SCHEDULED_METRICS);
        pace_show(pace, (i + 1) * 2 * plan->batch);
    }
    pace_done(pace);
    return s == AWA_OK ? sum_up(&b, overall, min, max, err) : s;
}
