/* SPDX-License-Identifier: MIT */
/*
 * Decides from the histories of a run whether the engine kept its promises. What it reports as a
 * violation is one for every order of events that the records allow; what is merely odd is counted.
 */
#ifndef CHAOS_CHECK_H
#define CHAOS_CHECK_H

#include "nemesis.h"

struct verdict_options {
    uint64_t seed;
    int64_t seconds;
    const char *faults; /* as it was asked for */
    uint32_t set;
    const char *dir;
    unsigned skipped;
    uint64_t worker_stale; /* results that workers of libawa were told are stale */
};

/* What the conductor finds out itself. */
#define CONCLUSION_MAP(X)                                   \
    X(DRAINED, "jobs are left after healing and draining")  \
    X(STOPPED, "a worker did not stop when it was told to") \
    X(CRASHES, "processes ended that nobody had ended")

enum conclusion {
#define X(name, text) CONCLUSION_##name,
    CONCLUSION_MAP(X)
#undef X
};

/* Prints the verdict, as one JSON object at the end; 0: no violation. */
int check_run(const struct verdict_options *options, const char *json);

#endif
