/* SPDX-License-Identifier: MIT */
/*
 * Runs a program for a job. It leads a process group of its own. When it has ended, what is left in
 * that group is killed. If the worker itself is killed, the kernel kills the program (unless it is
 * set-user-ID), but not what the program has started.
 *
 * The program gets the job as one JSON object on its standard input: id, kind, queue, attempt,
 * max_attempts, run_lease, enqueued_ms, deadline_ms, tags, metadata, args; and in its environment
 * AWA_JOB_ID, AWA_KIND, AWA_QUEUE, AWA_ATTEMPT, AWA_MAX_ATTEMPTS, AWA_RUN_LEASE and, if there is
 * a deadline, AWA_DEADLINE in seconds since 1970.
 *
 * If the program cannot be started, the fault is this worker's: the job goes back, at the cost of
 * no attempt.
 *
 * Exit code 0 completes the job, unless the program was told to end before; 65 (EX_DATAERR) fails
 * it for good; anything else is an error, and the job is retried, also after 75 (EX_TEMPFAIL). What
 * the program printed is the job's output: as it is, if all of it is JSON, else as {"stdout":
 * "..."}. Of more than 64 KiB only the end is kept, with "cut": true. The end of its standard error
 * goes into the error of an attempt that failed.
 */
#ifndef AWA_EXEC_H
#define AWA_EXEC_H

#include <awa/awa.h>

enum { EXEC_FAIL = 65 };

struct exec {
    const char *const *argv; /* ends with NULL; argv[0] is looked for in PATH */
    int64_t grace_ms;        /* between SIGTERM and SIGKILL */
    awa_log *log;            /* gets a line for each attempt that failed; NULL: none does */
    void *log_userdata;
};

/* An awa_handler; userdata is a const struct exec. */
awa_outcome exec_job(awa_attempt *job, void *userdata);

#endif
