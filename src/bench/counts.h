/* SPDX-License-Identifier: MIT */
/*
 * What awa.queue_counts() costs beside a long history: most of it completed by compact closures,
 * a percent failed and a percent completed with an output, which have rows of their own. It lies in
 * slots as full as the settings make them; the current one is as full as the others when it is
 * counted before it is folded, if there are that many jobs.
 */
#ifndef AWA_BENCH_COUNTS_H
#define AWA_BENCH_COUNTS_H

#include "bench/plan.h"
#include "bench/pace.h"

/*
 * overall, min and max have room for COUNTS_METRICS. The conninfo leads to a migrated database in
 * which nobody else works.
 */
awa_status counts_run(const struct plan *plan, const char *conninfo, struct pace *pace,
                      double *overall, double *min, double *max, awa_error *err) AWA_CHECKED;

#endif
