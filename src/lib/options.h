/* SPDX-License-Identifier: MIT */
/* Reads option structs of callers that were compiled with an older or a newer header. */
#ifndef AWA_LIB_OPTIONS_H
#define AWA_LIB_OPTIONS_H

#include "base/error.h"

/*
 * Copies the members that both sides know; the others become 0. False if the caller set a member
 * that we do not know, or no size.
 */
bool awa__options_read(void *to, size_t to_size, const void *from, size_t from_size);

/* Whether a job has anything for the column `options`; see options_json() in insert.c. */
static inline bool
awa__has_options(const awa_job_options *job)
{
    return job->max_run_ms != 0 || job->follow_json != NULL;
}

#endif
