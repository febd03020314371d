/* SPDX-License-Identifier: MIT */
/* The numbers of a result: their names, and how one number is made of those of several rounds. */
#ifndef AWA_BENCH_METRIC_H
#define AWA_BENCH_METRIC_H

#include <stddef.h>

struct metric {
    const char *group; /* the object in JSON that it stands in; NULL: at the top */
    const char *name;
    int decimals;
    enum {
        OVERALL_MEDIAN,
        OVERALL_SUM,
        OVERALL_WORST, /* the largest */
    } overall;
};

/*
 * The metrics of a round, for all modes but `scheduled` and `counts`. Their values are doubles;
 * NAN: not measured.
 */
enum flow_metric {
    JOBS_PER_S,
    FLOOR_JOBS_PER_S,
    FLOOR_RATIO,
    INSERTED_PER_S,
    JOBS,
    SECONDS,
    PICKUP_P50,
    PICKUP_P95,
    PICKUP_P99,
    PICKUP_MAX,
    E2E_P50,
    E2E_P95,
    E2E_P99,
    E2E_MAX,
    INSERT_P50,
    INSERT_P95,
    INSERT_P99,
    INSERT_MAX,
    LATE_P50,
    LATE_P95,
    LATE_P99,
    LATE_MAX,
    WAL_BYTES_PER_JOB,
    COMMITS_PER_JOB,
    QUERIES_PER_JOB,
    RING_INSERTS,
    RING_UPDATES,
    RING_DELETES,
    DEAD_TUPLES,
    RING_ROTATIONS,
    RING_BYTES,
    CPU_CLIENT,
    CPU_SERVER,
    LOST,
    DUPLICATED,
    FLOW_METRICS,
};

extern const struct metric flow_metrics[FLOW_METRICS];

enum scheduled_metric {
    ROWS,
    PROMOTE_MS_EMPTY,
    PROMOTE_MS_FULL,
    CLAIM_MS_EMPTY,
    CLAIM_MS_FULL,
    RATIO,
    PROMOTE_RATIO,
    CLAIM_RATIO,
    SCHEDULED_METRICS,
};

extern const struct metric scheduled_metrics[SCHEDULED_METRICS];

enum counts_metric {
    TERMINAL_ROWS,
    OPEN_ROWS,
    FOLDED_MS,
    UNFOLDED_MS,
    SCAN_MS,
    SPEEDUP,
    UNFOLDED_SPEEDUP,
    COUNTS_METRICS,
};

extern const struct metric counts_metrics[COUNTS_METRICS];

enum { METRICS_MAX = FLOW_METRICS };

/*
 * Of n values; NAN values do not count. The result is NAN if no value counts. The median reorders
 * the values.
 */
double metric_median(double *values, size_t n);
double metric_min(const double *values, size_t n);
double metric_max(const double *values, size_t n);

/* The overall value, in the way of this metric. May reorder the values. */
double metric_overall(const struct metric *m, double *values, size_t n);

#endif
