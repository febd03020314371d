/* SPDX-License-Identifier: MIT */
/*
 * What the hardware allows: the same rows, by plain binary COPY into a table with the columns of
 * awa.ready_entries and one unique index, as many producers, as many rows in a transaction.
 */
#ifndef AWA_BENCH_FLOOR_H
#define AWA_BENCH_FLOOR_H

#include "bench/plan.h"

struct floor_sum {
    int64_t rows, us;
};

/* Copies for that long and adds to the sum. The rows are deleted afterwards. */
awa_status floor_run(const char *conninfo, const struct plan *plan, int64_t us,
                     struct floor_sum *sum, awa_error *err) AWA_CHECKED;

#endif
