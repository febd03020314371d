/* SPDX-License-Identifier: MIT */
/* What the doors into the queue share: reading arrays of options, and inserting a part of one. */
#ifndef AWA_INSERT_H
#define AWA_INSERT_H

#include "pg/pg.h"

/* Job i of an array; its stride is the size that the first one states. */
awa_status awa__job_read(const awa_job_options *jobs, size_t i, awa_job_options *ret_job,
                         awa_error *err) AWA_CHECKED;

/* Does the session take UTF-8? Else Postgres would read other characters than the caller wrote. */
awa_status awa__session_check(const PGconn *conn, awa_error *err) AWA_CHECKED;

/* Are its texts valid UTF-8? The error names the job and the field. */
awa_status awa__job_check(const awa_job_options *job, size_t i, awa_error *err) AWA_CHECKED;

/*
 * Insert the n jobs with the indices picked[] (NULL: the first n). Rows of the result are in
 * order: id or NULL, and, unless strict, what is wrong with the job.
 */
awa_status awa__jobs_insert(PGconn *conn, const awa_job_options *jobs, const size_t *picked,
                            size_t n, bool strict, PGresult **ret_res, awa_error *err) AWA_CHECKED;

#endif
