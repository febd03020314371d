/* SPDX-License-Identifier: MIT */
/*
 * What awa.queue_counts() costs beside a long history. Most of the history is completed by compact
 * closures; one percent failed, and one percent completed with an output: those jobs have rows of
 * their own. The history lies in slots that are as full as the settings allow. The current slot is
 * counted before it is folded; it is as full as the others by then, if there are enough jobs.
 */
#ifndef AWA_BENCH_COUNTS_H
#define AWA_BENCH_COUNTS_H

#include "bench/plan.h"
#include "bench/pace.h"

/*
 * overall, min and max have room for COUNTS_METRICS. The conninfo leads to a migrated database that
 * nobody else uses.
 */
awa_status counts_run(const struct plan *plan, const char *conninfo, struct pace *pace,
                      double *overall, double *min, double *max, awa_error *err) AWA_CHECKED;

#endif
