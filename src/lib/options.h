/* SPDX-License-Identifier: MIT */
/* Option structs of callers that were compiled with an older or a newer header. */
#ifndef AWA_LIB_OPTIONS_H
#define AWA_LIB_OPTIONS_H

#include "base/error.h"

/* Copies what both sides know; false if the caller set something that we do not know. */
bool awa__options_read(void *to, size_t to_size, const void *from, size_t from_size);

/* A number as a parameter of a statement; NULL for 0, which means the default, or nothing said. */
const char *awa__options_number(char text[24], int64_t v);

/* Whether a job has anything for the column `options`; see options_json() in insert.c. */
static inline bool
awa__has_options(const awa_job_options *job)
{
    return job->max_run_ms != 0;
}

#endif
