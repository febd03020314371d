/* SPDX-License-Identifier: MIT */
/*
 * Running a program for a job. It leads a process group of its own, which ends with it: whatever
 * it leaves behind in there is killed. If the worker itself is killed, the kernel kills the program
 * (unless it is set-user-ID); what the program has started lives on, in its group or not.
 *
 * The program gets the job as one JSON object on its standard input: id, kind, queue, attempt,
 * max_attempts, run_lease, enqueued_ms, deadline_ms, tags, metadata, args; and in its environment
 * AWA_JOB_ID, AWA_KIND, AWA_QUEUE, AWA_ATTEMPT, AWA_MAX_ATTEMPTS, AWA_RUN_LEASE and, if there is
 * a deadline, AWA_DEADLINE in seconds since 1970.
 *
 * A program that cannot be started is a trouble of this worker: the job goes back as it came.
 *
 * Exit code 0 completes the job, 65 (EX_DATAERR) fails it for good; anything else counts as an
 * error and is retried, 75 (EX_TEMPFAIL) too. What it printed is the job's output: as it
 * is, if the whole of it is JSON, else as {"stdout": "..."}; of more than 64 KiB the end, with
 * "cut": true. The end of its standard error is the error of an
 * attempt that failed.
 */
#ifndef AWA_EXEC_H
#define AWA_EXEC_H

#include <awa/awa.h>

enum { EXEC_FAIL = 65 };

struct exec {
    const char *const *argv; /* ends with NULL; argv[0] is looked for in PATH */
    int64_t grace_ms;        /* between SIGTERM and SIGKILL */
    awa_log *log;            /* where attempts that failed are told; NULL: nowhere */
    void *log_userdata;
};

/* An awa_handler; userdata is a const struct exec. */
awa_outcome exec_job(awa_attempt *job, void *userdata);

#endif
