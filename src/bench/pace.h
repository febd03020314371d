/* SPDX-License-Identifier: MIT */
/* A line on a terminal that says how far the bench is. Without a terminal nothing is shown. */
#ifndef AWA_BENCH_PACE_H
#define AWA_BENCH_PACE_H

#include <stdbool.h>
#include <stdint.h>

struct pace {
    bool shown;       /* stderr is a terminal, and the line is wanted */
    const char *what; /* the part that is going on */
    int64_t began_us, began_jobs;
    int64_t next_us; /* when to show it again */
};

void pace_init(struct pace *p, bool wanted);

/* Begins a new part. jobs: how many there are so far. */
void pace_begin(struct pace *p, const char *what, int64_t jobs);

/* Cheap enough to be called all the time. */
void pace_show(struct pace *p, int64_t jobs);

/* Wipes the line. */
void pace_done(struct pace *p);

#endif
