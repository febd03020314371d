/* SPDX-License-Identifier: MIT */
/*
 * For LD_PRELOAD into the server: CHAOS_CLOCK names the file of the offset. All its processes step
 * at the same moment, and what they call in a signal handler, for Postgres asks for the time in
 * one, opens no file and allocates nothing.
 */
#include <stdlib.h>

#include "clock.h"

__attribute__((constructor)) static void
begin(void)
{
    const char *path = getenv("CHAOS_CLOCK");
    atomic_int *offset = path != NULL ? fake_clock_map(path, false) : NULL;

    if (offset != NULL)
        fake_clock_follow(offset);
}
