/* SPDX-License-Identifier: MIT */
/* One line on a terminal that tells how far something is. */
#ifndef AWA_CLI_BAR_H
#define AWA_CLI_BAR_H

#include "cli/command.h"

struct bar {
    bool on;          /* stderr is a terminal, and nobody said --quiet */
    int64_t began_at; /* monotonic ms */
    int64_t shown_at; /* 0: not on the screen */
    int64_t total;    /* bytes or jobs; 0: unknown */
};

void bar_begin(struct bar *b, const struct call *call, int64_t total);

/* So far. Shows it now and then: bytes of a total of bytes, or jobs of a total of jobs. */
void bar_show(struct bar *b, int64_t jobs, int64_t bytes);
void bar_show_jobs(struct bar *b, int64_t jobs);

/* Before anything else is printed. */
void bar_clear(struct bar *b);

#endif
