/* SPDX-License-Identifier: MIT */
/*
 * A wall clock that jumps. The executable has a clock_gettime(), gettimeofday() and time() of its
 * own, which the dynamic linker gives to libpq and everybody else in the process: so no preloaded
 * library is needed. The monotonic clock stays what it is.
 */
#ifndef CHAOS_CLOCK_H
#define CHAOS_CLOCK_H

#include <sys/types.h>

/* From now on SIGUSR1 with a value moves this process's wall clock by so many seconds. */
void fake_clock_obey(void);

/* Moves the wall clock of another process. */
void fake_clock_move(pid_t pid, int seconds);

#endif
