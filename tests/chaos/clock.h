/* SPDX-License-Identifier: MIT */
/*
 * A wall clock that jumps. The executable has a clock_gettime(), gettimeofday() and time() of its
 * own, which the dynamic linker gives to libpq and everybody else in the process: so it needs no
 * preloaded library. The server does: server_clock.c, which has the same three. The monotonic
 * clock stays what it is.
 */
#ifndef CHAOS_CLOCK_H
#define CHAOS_CLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

/* From now on SIGUSR1 with a value moves this process's wall clock by so many seconds. */
void fake_clock_obey(void);

/* Moves the wall clock of another process. */
void fake_clock_move(pid_t pid, int seconds);

/* Maps a file with an offset in seconds, which is made if `make`; NULL: it cannot be. */
atomic_int *fake_clock_map(const char *path, bool make);

/* From now on this process's wall clock differs from the machine's by that offset. */
void fake_clock_follow(atomic_int *offset);

#endif
