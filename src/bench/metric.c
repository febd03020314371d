/* SPDX-License-Identifier: MIT */
#include "bench/metric.h"

#include <math.h>
#include <stdlib.h>

#define TIMES(id, group)                              \
    [id##_P50] = { group, "p50", 3, OVERALL_MEDIAN }, \
    [id##_P95] = { group, "p95", 3, OVERALL_MEDIAN }, \
    [id##_P99] = { group, "p99", 3, OVERALL_MEDIAN }, \
    [id##_MAX] = { group, "max", 3, OVERALL_MEDIAN }

const struct metric flow_metrics[FLOW_METRICS] = {
    [JOBS_PER_S] = { NULL, "jobs_per_s", 1, OVERALL_MEDIAN },
    [FLOOR_JOBS_PER_S] = { NULL, "floor_jobs_per_s", 1, OVERALL_MEDIAN },
    [FLOOR_RATIO] = { NULL, "floor_ratio", 4, OVERALL_MEDIAN },
    [INSERTED_PER_S] = { NULL, "inserted_per_s", 1, OVERALL_MEDIAN },
    [JOBS] = { NULL, "jobs", 0, OVERALL_MEDIAN },
    [SECONDS] = { NULL, "seconds", 3, OVERALL_MEDIAN },
    TIMES(PICKUP, "pickup_ms"),
    TIMES(E2E, "e2e_ms"),
    TIMES(INSERT, "insert_ms"),
    TIMES(LATE, "late_ms"),
    [WAL_BYTES_PER_JOB] = { NULL, "wal_bytes_per_job", 1, OVERALL_MEDIAN },
    [COMMITS_PER_JOB] = { NULL, "commits_per_job", 5, OVERALL_MEDIAN },
    [QUERIES_PER_JOB] = { NULL, "queries_per_job", 5, OVERALL_MEDIAN },
    [RING_INSERTS] = { NULL, "ring_inserts", 0, OVERALL_MEDIAN },
    [RING_UPDATES] = { NULL, "ring_updates", 0, OVERALL_WORST },
    [RING_DELETES] = { NULL, "ring_deletes", 0, OVERALL_WORST },
    [DEAD_TUPLES] = { NULL, "dead_tuples", 0, OVERALL_WORST },
    [RING_ROTATIONS] = { NULL, "ring_rotations", 0, OVERALL_MEDIAN },
    [RING_BYTES] = { NULL, "ring_bytes", 0, OVERALL_WORST },
    [CPU_CLIENT] = { "cpu_s", "client", 2, OVERALL_MEDIAN },
    [CPU_SERVER] = { "cpu_s", "server", 2, OVERALL_MEDIAN },
    [LOST] = { NULL, "lost", 0, OVERALL_SUM },
    [DUPLICATED] = { NULL, "duplicated", 0, OVERALL_SUM },
};

const struct metric scheduled_metrics[SCHEDULED_METRICS] = {
    [ROWS] = { NULL, "rows", 0, OVERALL_MEDIAN },
    [PROMOTE_MS_EMPTY] = { NULL, "promote_ms_empty", 3, OVERALL_MEDIAN },
    [PROMOTE_MS_FULL] = { NULL, "promote_ms_full", 3, OVERALL_MEDIAN },
    [CLAIM_MS_EMPTY] = { NULL, "claim_ms_empty", 3, OVERALL_MEDIAN },
    [CLAIM_MS_FULL] = { NULL, "claim_ms_full", 3, OVERALL_MEDIAN },
    [RATIO] = { NULL, "ratio", 3, OVERALL_MEDIAN },
    [PROMOTE_RATIO] = { NULL, "promote_ratio", 3, OVERALL_MEDIAN },
    [CLAIM_RATIO] = { NULL, "claim_ratio", 3, OVERALL_MEDIAN },
};

const struct metric counts_metrics[COUNTS_METRICS] = {
    [TERMINAL_ROWS] = { NULL, "terminal_rows", 0, OVERALL_MEDIAN },
    [OPEN_ROWS] = { NULL, "open_rows", 0, OVERALL_MEDIAN },
    [FOLDED_MS] = { NULL, "folded_ms", 3, OVERALL_MEDIAN },
    [UNFOLDED_MS] = { NULL, "unfolded_ms", 3, OVERALL_MEDIAN },
    [SCAN_MS] = { NULL, "scan_ms", 3, OVERALL_MEDIAN },
    [SPEEDUP] = { NULL, "speedup", 1, OVERALL_MEDIAN },
    [UNFOLDED_SPEEDUP] = { NULL, "unfolded_speedup", 1, OVERALL_MEDIAN },
};

/* Measured values come first, in ascending order; NAN comes last. */
static int
compare(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;

    if (isnan(left) || isnan(right))
        return isnan(left) - isnan(right);
    return (left > right) - (left < right);
}

double
metric_median(double *values, size_t n)
{
    qsort(values, n, sizeof *values, compare);
    while (n > 0 && isnan(values[n - 1]))
        n--;
    if (n == 0)
        return NAN;
    return (values[(n - 1) / 2] + values[n / 2]) / 2;
}

double
metric_min(const double *values, size_t n)
{
    double min = NAN;

    for (size_t i = 0; i < n; i++)
        min = fmin(min, values[i]); /* fmin() of a number and NAN is the number */
    return min;
}

double
metric_max(const double *values, size_t n)
{
    double max = NAN;

    for (size_t i = 0; i < n; i++)
        max = fmax(max, values[i]);
    return max;
}

static double
sum(const double *values, size_t n)
{
    double total = n > 0 ? values[0] : NAN;

    for (size_t i = 1; i < n; i++)
        total += values[i];
    return total;
}

double
metric_overall(const struct metric *m, double *values, size_t n)
{
    switch (m->overall) {
    case OVERALL_SUM:
        return sum(values, n);
    case OVERALL_WORST:
        return metric_max(values, n);
    default:
        return metric_median(values, n);
    }
}
