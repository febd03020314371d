/* SPDX-License-Identifier: MIT */
/* Waits for the end of a job, and shows what came of it. */
#ifndef AWA_CLI_JOB_WAIT_H
#define AWA_CLI_JOB_WAIT_H

#include "cli/command.h"
#include "pg/pg.h"

/*
 * Waits as long as --timeout says. Prints the job's output, or the job with --json. Returns
 * EXIT_JOBS_FAILED if it did not complete; EXIT_FAILED, with a message, if it has not ended in
 * time.
 */
int job_wait(const struct call *call, PGconn *conn, int64_t id);

#endif
