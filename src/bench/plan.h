/* SPDX-License-Identifier: MIT */
/* What a bench is asked to do. */
#ifndef AWA_BENCH_PLAN_H
#define AWA_BENCH_PLAN_H

#include "pg/pg.h"

/* How jobs are inserted. */
enum door {
    DOOR_COPY, /* awa_jobs_copy() */
    DOOR_SQL,  /* awa_jobs_insert() */
    DOOR_ONE,  /* awa_job_insert() for each job */
};

/* What other sessions keep open all the time. */
enum hold {
    HOLD_NOTHING,
    HOLD_SNAPSHOT, /* an old snapshot, and a job that is not committed */
    HOLD_SAME,     /* the job alone */
    HOLD_OTHER,    /* a transaction of another database, which has nothing but an id */
};

/* The numbers are 0 if the mode has no such option, and where 0 means "as the library likes". */
struct plan {
    const char *database; /* made for the run, dropped after it */
    enum door door;
    enum hold hold;
    bool floor;  /* measure plain COPY, too */
    bool follow; /* another job follows from each */
    int64_t producers, batch, payload_bytes, shards, rollback_percent;
    int64_t workers, threads, claim_batch, prefetch, handler_us, fail_percent;
    int64_t slot_bytes, keep_seconds;
    int64_t seconds, warmup, jobs, depth, rate, rows, repeat;
};

/* Sets a number by the name of its option. EINVAL: it is outside of its limits. */
awa_status plan_set(struct plan *plan, const char *name, int64_t number,
                    awa_error *err) AWA_CHECKED;

/* The number of this option; -1: there is no such number. */
int64_t plan_get(const struct plan *plan, const char *name);

/* The same from words: copy, sql or one; same or other; a number, or -1. */
awa_status plan_set_door(struct plan *plan, const char *name, awa_error *err) AWA_CHECKED;
awa_status plan_set_hold(struct plan *plan, const char *name, awa_error *err) AWA_CHECKED;
awa_status plan_set_prefetch(struct plan *plan, const char *text, awa_error *err) AWA_CHECKED;

/* Fills in what depends on other options, and refuses options that exclude each other. */
awa_status plan_complete(struct plan *plan, awa_error *err) AWA_CHECKED;

#endif
