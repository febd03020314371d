/* SPDX-License-Identifier: MIT */
/*
 * What the hardware allows: the same rows, by plain binary COPY into a table with the columns of
 * awa.ready_entries and one unique index, with as many producers and as many rows in a transaction.
 */
#ifndef AWA_BENCH_FLOOR_H
#define AWA_BENCH_FLOOR_H

#include "bench/plan.h"

struct floor_sum {
    int64_t rows, us;
};

/*
 * Copies rows for `us` and adds their number and the time to the sum. The table is dropped
 * afterwards.
 */
awa_status floor_run(const char *conninfo, const struct plan *plan, int64_t us,
                     struct floor_sum *sum, awa_error *err) AWA_CHECKED;

#endif
