/* SPDX-License-Identifier: MIT */
/*
 * Inserts two divisions, one of them by zero, runs them without handler threads, and prints what
 * became of them: counts, a list, an explanation. usage: look [CONNINFO]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <awa/awa.h>

static void
must(awa_status status, const awa_error *err)
{
    if (status == AWA_OK)
        return;
    fprintf(stderr, "%s\n", err->message);
    exit(1);
}

static awa_outcome
divide(awa_attempt *attempt)
{
    if (strcmp(awa_attempt_args(attempt, NULL), "0") != 0)
        return AWA_COMPLETE;
    if (awa_attempt_set_error(attempt, "division by zero") != AWA_OK)
        return AWA_RETRY; /* out of memory, which may pass */
    return AWA_FAIL;
}

/* Runs the jobs of queue "look" until none comes. */
static void
work(const char *conninfo)
{
    awa_worker *worker;
    awa_attempt *attempt;
    awa_error err;

    must(awa_worker_new(
             AWA_WORKER(.conninfo = conninfo, .queues = (const char *[]){ "look" }, .nqueues = 1),
             &worker, &err),
         &err);
    must(awa_worker_start(worker, &err), &err);
    for (;;) {
        must(awa_worker_take(worker, 1000, &attempt, &err), &err);
        if (attempt == NULL) /* none came within a second */
            break;
        awa_attempt_end(&attempt, divide(attempt));
    }
    must(awa_worker_stop(worker, -1, &err), &err);
    awa_worker_free(worker);
}

/* Prints an answer and frees it. */
static void
tell(awa_status status, char **json, const awa_error *err)
{
    must(status, err);
    puts(*json);
    free(*json);
}

int
main(int argc, char **argv)
{
    const char *conninfo = argc > 1 ? argv[1] : NULL;
    PGconn *conn;
    int64_t by_zero;
    char *json = NULL;
    awa_error err;

    must(awa_connect(conninfo, &conn, &err), &err);
    must(awa_job_insert(conn, AWA_JOB(.kind = "divide", .queue = "look", .args_json = "2"), NULL,
                        &err),
         &err);
    must(awa_job_insert(conn, AWA_JOB(.kind = "divide", .queue = "look", .args_json = "0"),
                        &by_zero, &err),
         &err);
    work(conninfo);
    tell(awa_queue_counts(conn, "look", &json, &err), &json, &err);
    tell(awa_jobs_list(conn, AWA_LIST(.state = "failed", .queue = "look"), &json, NULL, &err),
         &json, &err);
    tell(awa_job_explain(conn, by_zero, &json, &err), &json, &err);
    PQfinish(conn);
    return 0;
}
