/* SPDX-License-Identifier: MIT */
/* A progress line on a terminal. */
#ifndef AWA_CLI_BAR_H
#define AWA_CLI_BAR_H

#include "cli/command.h"

struct bar {
    bool on;          /* stderr is a terminal, and there is no --quiet */
    int64_t began_at; /* monotonic ms */
    int64_t shown_at; /* 0: not on the screen */
    int64_t total;    /* bytes or jobs; 0: unknown */
};

void bar_begin(struct bar *b, const struct call *call, int64_t total);

/*
 * Tell how much is done so far. They print at most every 100 ms. total counts bytes for bar_show(),
 * jobs for bar_show_jobs().
 */
void bar_show(struct bar *b, int64_t jobs, int64_t bytes);
void bar_show_jobs(struct bar *b, int64_t jobs);

/* Removes the line; to be called before anything else is printed. */
void bar_clear(struct bar *b);

#endif
