/* SPDX-License-Identifier: MIT */
/* A job as the worker has it in hand, without a worker that runs and without a server. */
#ifndef AWA_FUZZ_JOB_H
#define AWA_FUZZ_JOB_H

#include "fuzz.h"
#include "worker/core.h"

struct fuzz_job {
    struct awa_worker worker;
    struct identity identity;
    struct batch *batch;
    awa_attempt *job;
    int logged; /* lines */
};

/* What the database says about it; NULL only where it may. */
struct fuzz_words {
    const char *kind, *queue, *args, *metadata;
    const char *const *tags;
    size_t ntags;
    int64_t deadline_us; /* since 2000; 0: none */
};

void fuzz_job_init(struct fuzz_job *j, const struct fuzz_words *words);
void fuzz_job_done(struct fuzz_job *j);

/* An awa_log; userdata is the fuzz_job, which counts. */
void fuzz_job_log(void *userdata, const char *line);

#endif
