/* SPDX-License-Identifier: MIT */
/* What insert.c and copy.c share: to read jobs out of an array, and to insert some of them. */
#ifndef AWA_INSERT_H
#define AWA_INSERT_H

#include "base/buffer.h"
#include "pg/pg.h"

/* Reads job i of an array. The .size of the first job is the distance between two of them. */
awa_status awa__job_read(const awa_job_options *jobs, size_t i, awa_job_options *ret_job,
                         awa_error *err) AWA_CHECKED;

/* EINVAL if the session's encoding is not UTF-8: Postgres would convert the caller's texts. */
awa_status awa__session_check(const PGconn *conn, awa_error *err) AWA_CHECKED;

/* EINVAL if a text of the job is not valid UTF-8. The error names the job by i, and the field. */
awa_status awa__job_check(const awa_job_options *job, size_t i, awa_error *err) AWA_CHECKED;

/* Adds a job as JSON: a template, see awa.template_problem(). */
awa_status awa__job_json(struct buffer *b, const awa_job_options *job, awa_error *err) AWA_CHECKED;

/*
 * Inserts the n jobs with the indices picked[] (NULL: the first n). The result has a row for each,
 * in order: the id, or NULL for a job that was not inserted; and what is wrong with it, or NULL.
 * strict: a bad job is an error, and none is inserted.
 */
awa_status awa__jobs_insert(PGconn *conn, const awa_job_options *jobs, const size_t *picked,
                            size_t n, bool strict, PGresult **ret_res, awa_error *err) AWA_CHECKED;

#endif
