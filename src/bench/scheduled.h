/* SPDX-License-Identifier: MIT */
/*
 * What many jobs with a future time cost the jobs whose time has come. The same promotions and
 * claims run in two databases, by turns; one of them has many rows in awa.deferred_jobs. They are
 * timed on a session, with the statements that a leader and a worker send.
 */
#ifndef AWA_BENCH_SCHEDULED_H
#define AWA_BENCH_SCHEDULED_H

#include "bench/plan.h"
#include "bench/pace.h"

/*
 * overall, min and max have room for SCHEDULED_METRICS. The two conninfos lead to migrated
 * databases that nobody else uses.
 */
awa_status scheduled_run(const struct plan *plan, const char *empty, const char *full,
                         struct pace *pace, double *overall, double *min, double *max,
                         awa_error *err) AWA_CHECKED;

#endif
