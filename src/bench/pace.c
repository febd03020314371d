/* SPDX-License-Identifier: MIT */
#include "bench/pace.h"

#include <stdio.h>
#include <unistd.h>

#include "bench/clock.h"

enum { SHOW_US = 200000 };

#define WIPE "\r\033[K"

void
pace_init(struct pace *p, bool wanted)
{
    *p = (struct pace){ .shown = wanted && isatty(STDERR_FILENO) };
}

void
pace_begin(struct pace *p, const char *what, int64_t jobs)
{
    p->what = what;
    p->began_us = clock_us();
    p->began_jobs = jobs;
    p->next_us = 0;
    pace_show(p, jobs);
}

void
pace_show(struct pace *p, int64_t jobs)
{
    int64_t now = clock_us();
    double seconds = (double)(now - p->began_us) / 1e6;
    int64_t n = jobs - p->began_jobs;

    if (!p->shown || now < p->next_us)
        return;
    p->next_us = now + SHOW_US;
    fprintf(stderr, WIPE "%s: %.1f s", p->what, seconds);
    if (n > 0 && seconds > 0)
        fprintf(stderr, ", %lld jobs, %.0f/s", (long long)n, (double)n / seconds);
    fflush(stderr);
}

void
pace_done(struct pace *p)
{
    if (p->shown)
        fputs(WIPE, stderr);
}
