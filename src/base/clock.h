/* SPDX-License-Identifier: MIT */
/* Elapsed time: the monotonic clock in milliseconds. Never the wall clock. */
#ifndef AWA_CLOCK_H
#define AWA_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t
clock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

#endif
