/* SPDX-License-Identifier: MIT */
/* A result, for people and for programs. */
#ifndef AWA_BENCH_REPORT_H
#define AWA_BENCH_REPORT_H

#include "base/buffer.h"
#include "bench/metric.h"
#include "pg/pg.h"

struct report {
    const char *mode;
    const char *options;    /* a JSON object: what was asked for */
    const PGresult *server; /* rows of name and setting */
    const struct metric *metrics;
    size_t n; /* metrics */
    int64_t rounds;
    const double *overall, *min, *max; /* of each metric */
};

/*
 * One JSON object. What was not measured is null. With several rounds, min and max are objects of
 * the same form.
 */
void report_json(const struct report *r, struct buffer *out);

/* Rows of two columns or, with several rounds, of four. NULL: out of memory. */
PGresult *report_table(const struct report *r);

#endif
