/* SPDX-License-Identifier: MIT */
#ifndef AWA_BENCH_CLOCK_H
#define AWA_BENCH_CLOCK_H

#include <stdint.h>
#include <time.h>

/*
 * Microseconds of a clock that never jumps. It serves for all measured times, which are of this
 * process.
 */
static inline int64_t
clock_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Sleeps until the time `us`; a signal ends the sleep early. */
static inline void
clock_sleep_until(int64_t us)
{
    struct timespec t = { .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000 };

    (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

#endif
