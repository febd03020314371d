/* SPDX-License-Identifier: MIT */
#include "bench/counts.h"

#include <string.h>

#include "bench/clock.h"
#include "bench/login.h"
#include "bench/metric.h"
#include "bench/payload.h"
#include "pg/interrupt.h"
#include "statements_bench.h"
#include "statements_worker.h"

enum {
    CLAIM_MAX = 10000,  /* jobs of awa.claim_jobs() */
    STEP = 20000,       /* jobs in a transaction */
    PER_CENT = 100,     /* of 100 batches one fails, one completes with an output */
    ROUNDS_UNTIMED = 2, /* the first ones fill caches and plans */
    LAST_STEPS = 3,     /* they stay in the slot that is open in the end, full or not */
    SCANS_MAX = 5,      /* a scan of ten million rows takes its time */
};

struct bench {
    const struct plan *plan;
    struct pace *pace;
    struct login login;
    char *payload;
    awa_job_options *jobs; /* of one transaction */
    double *times;         /* of repeated measurements */
    int64_t done, batches; /* jobs in history, and claims */
    int64_t in_slot;       /* of these jobs in the current slot */
    int64_t slot_holds;    /* how many jobs fill a slot; 0: none was full yet */
    bool cut;              /* a slot was sealed early, so that the last one gets full */
};

static void
auto_bench(struct bench *b)
{
    login_done(&b->login);
    free(b->payload);
    free(b->jobs);
    free(b->times);
}

static awa_status
prepare(struct bench *b, const char *conninfo, awa_error *err)
{
    size_t len = (size_t)b->plan->payload_bytes;
    awa_status s;

    b->payload = calloc(1, len + 1);
    b->jobs = calloc(STEP, sizeof *b->jobs);
    b->times = calloc((size_t)b->plan->repeat, sizeof *b->times);
    if (b->payload == NULL || b->jobs == NULL || b->times == NULL)
        return awa__fail(err, AWA_ENOMEM, "bench: out of memory");
    payload_init(b->payload, len);
    for (size_t i = 0; i < STEP; i++)
        b->jobs[i] = (awa_job_options){ .size = sizeof(awa_job_options),
                                        .kind = "bench",
                                        .args_json = b->payload };
    s = login_init(&b->login, conninfo, err);
    if (s == AWA_OK)
        s = awa__exec(b->login.conn, "bench", "SET statement_timeout = 0", err);
    return s;
}

/* ---- The history ------------------------------------------------------------------------- */

/* Claims a batch and ends its jobs. *ret_n is how many they were. */
static awa_status
end_batch(struct bench *b, int64_t max, int64_t *ret_n, awa_error *err)
{
    static const char *const outcomes[PER_CENT] = { [0] = "failed", [PER_CENT / 2] = "completed" };
    const char *outcome = outcomes[b->batches++ % PER_CENT];
    AUTO(pgresult) PGresult *res = NULL;
    char n[24];
    awa_status s;

    snprintf(n, sizeof n, "%lld", (long long)max);
    s = awa__query(b->login.conn, outcome != NULL ? SQL_BENCH_CLOSE : SQL_BENCH_COMPLETE,
                   (const char *[]){ b->login.worker, n, outcome }, &res, err);
    if (s != AWA_OK)
        return s;
    *ret_n = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
    return *ret_n > 0 ? AWA_OK : awa__fail(err, AWA_EDB, "bench: there was nothing to claim");
}

/* Inserts, claims and ends n jobs. */
static awa_status
add_history(struct bench *b, int64_t n, awa_error *err)
{
    awa_status s = awa_jobs_copy(b->login.conn, b->jobs, (size_t)n, NULL, err);

    for (int64_t left = n, got = 0; left > 0 && s == AWA_OK; left -= got)
        s = end_batch(b, left < b->plan->batch ? left : b->plan->batch, &got, err);
    b->done += n;
    b->in_slot += n;
    pace_show(b->pace, b->done);
    return s == AWA_OK ? interrupt_check(err) : s;
}

/* Does what the leader does once a second: a full slot is sealed, and folded. */
static awa_status
turn(struct bench *b, awa_error *err)
{
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s = awa__query(b->login.conn, SQL_RING_TURN, NULL, &res, err);

    if (s != AWA_OK || PQgetisnull(res, 0, 0))
        return s;
    b->slot_holds = b->in_slot;
    b->in_slot = 0;
    return AWA_OK;
}

static awa_status
seal(struct bench *b, awa_error *err)
{
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s = awa__query(b->login.conn, SQL_BENCH_ROTATE, NULL, &res, err);

    if (s == AWA_OK && PQgetisnull(res, 0, 0))
        return awa__fail(err, AWA_EDB, "bench: the ring has no empty slot left");
    b->in_slot = 0;
    return s;
}

/*
 * Whether to seal a slot now, so that only full ones follow and the last of them stays open. For
 * that it must be known how many jobs fill a slot.
 */
static bool
must_cut(const struct bench *b)
{
    int64_t left = b->plan->rows - b->done;

    return !b->cut && b->slot_holds > 0 && left >= b->slot_holds && left % b->slot_holds < STEP;
}

static awa_status
fill(struct bench *b, awa_error *err)
{
    awa_status s = AWA_OK;

    pace_begin(b->pace, "filling", 0);
    while (b->done < b->plan->rows && s == AWA_OK) {
        int64_t left = b->plan->rows - b->done;

        s = add_history(b, left < STEP ? left : STEP, err);
        if (s == AWA_OK && b->plan->rows - b->done > LAST_STEPS * STEP)
            s = turn(b, err);
        if (s != AWA_OK || !must_cut(b))
            continue;
        b->cut = true;
        if (b->in_slot > 0)
            s = seal(b, err);
    }
    if (s == AWA_OK)
        s = awa__exec(b->login.conn, "bench", "VACUUM ANALYZE", err);
    awa__ignore(awa__exec(b->login.conn, "bench", "CHECKPOINT", NULL)); /* it may be refused */
    return s;
}

/* ---- What it costs ----------------------------------------------------------------------- */

/* Counts by this statement, and checks that it finds the whole history. */
static awa_status
count_once(struct bench *b, const struct awa__sql *sql, double *ret_ms, awa_error *err)
{
    static const char *const columns[] = { "n", "completed", "failed" };
    AUTO(pgresult) PGresult *res = NULL;
    int64_t began = clock_us(), found = 0;
    awa_status s = awa__query(b->login.conn, sql, (const char *[]){ NULL }, &res, err);

    *ret_ms = (double)(clock_us() - began) / 1000;
    if (s != AWA_OK)
        return s;
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) {
        int column = PQfnumber(res, columns[i]);

        if (column >= 0)
            found += strtoll(PQgetvalue(res, 0, column), NULL, 10);
    }
    if (found != b->plan->rows)
        return awa__fail(err, AWA_EDB, "bench: %lld jobs were counted, not %lld", (long long)found,
                         (long long)b->plan->rows);
    return interrupt_check(err);
}

static awa_status
measure(struct bench *b, const struct awa__sql *sql, int64_t repeat, enum counts_metric metric,
        double *overall, double *min, double *max, awa_error *err)
{
    size_t n = (size_t)repeat;
    double untimed;
    awa_status s = AWA_OK;

    for (int i = 0; i < ROUNDS_UNTIMED && s == AWA_OK; i++)
        s = count_once(b, sql, &untimed, err);
    for (size_t i = 0; i < n && s == AWA_OK; i++)
        s = count_once(b, sql, &b->times[i], err);
    if (s != AWA_OK)
        return s;
    min[metric] = metric_min(b->times, n);
    max[metric] = metric_max(b->times, n);
    overall[metric] = metric_overall(&counts_metrics[metric], b->times, n);
    return AWA_OK;
}

/* Numbers that are the same each time. */
static void
put_fixed(double *overall, double *min, double *max, enum counts_metric metric, double value)
{
    overall[metric] = min[metric] = max[metric] = value;
}

static awa_status
measure_all(struct bench *b, double *overall, double *min, double *max, awa_error *err)
{
    int64_t repeat = b->plan->repeat, scans = repeat < SCANS_MAX ? repeat : SCANS_MAX;
    awa_status s;

    pace_begin(b->pace, "measuring", b->done);
    put_fixed(overall, min, max, TERMINAL_ROWS, (double)b->plan->rows);
    put_fixed(overall, min, max, OPEN_ROWS, (double)b->in_slot);
    s = measure(b, SQL_BENCH_QUEUE_COUNTS, repeat, UNFOLDED_MS, overall, min, max, err);
    if (s == AWA_OK)
        s = seal(b, err);
    if (s == AWA_OK)
        s = turn(b, err);
    if (s == AWA_OK)
        s = measure(b, SQL_BENCH_QUEUE_COUNTS, repeat, FOLDED_MS, overall, min, max, err);
    if (s == AWA_OK)
        s = measure(b, SQL_BENCH_SCAN, scans, SCAN_MS, overall, min, max, err);
    if (s != AWA_OK)
        return s;
    put_fixed(overall, min, max, SPEEDUP, overall[SCAN_MS] / overall[FOLDED_MS]);
    put_fixed(overall, min, max, UNFOLDED_SPEEDUP, overall[SCAN_MS] / overall[UNFOLDED_MS]);
    return AWA_OK;
}

awa_status
counts_run(const struct plan *plan, const char *conninfo, struct pace *pace, double *overall,
           double *min, double *max, awa_error *err)
{
    AUTO(bench) struct bench b = { .plan = plan, .pace = pace };
    awa_status s;

    if (plan->batch > CLAIM_MAX)
        return awa__fail(err, AWA_EINVAL, "--batch: want at most %d", CLAIM_MAX);
    s = prepare(&b, conninfo, err);
    if (s == AWA_OK)
        s = fill(&b, err);
    if (s == AWA_OK)
        s = measure_all(&b, overall, min, max, err);
    pace_done(pace);
    return s;
}
