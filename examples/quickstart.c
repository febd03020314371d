/* SPDX-License-Identifier: MIT */
/* Inserts three jobs, runs them, stops. All below this line is in README.md; a test compares. */
#include <awa/awa.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

static awa_outcome
greet(awa_attempt *attempt, void *userdata)
{
    (void)userdata;
    printf("job %lld: %s\n", (long long)awa_attempt_id(attempt), awa_attempt_args(attempt, NULL));
    return AWA_COMPLETE; /* or AWA_RETRY, AWA_FAIL, AWA_CANCEL, AWA_SNOOZE */
}

static void
must(awa_status status, const awa_error *err)
{
    if (status == AWA_OK)
        return;
    fprintf(stderr, "%s\n", err->message);
    exit(1);
}

int
main(int argc, char **argv)
{
    const char *conninfo = argc > 1 ? argv[1] : NULL; /* NULL: PGHOST, PGDATABASE, ... */
    const awa_kind kinds[] = { { .kind = "greet", .handler = greet } };
    awa_worker_stats stats = { .size = sizeof stats };
    awa_worker *worker;
    PGconn *conn;
    awa_error err;

    must(awa_connect(conninfo, &conn, &err), &err);
    must(awa_migrate(conn, &err), &err);
    for (int i = 0; i < 3; i++)
        must(awa_job_insert(conn, AWA_JOB(.kind = "greet", .args_json = "{\"name\": \"river\"}"),
                            NULL, &err),
             &err);

    must(awa_worker_new(AWA_WORKER(.conninfo = conninfo, .kinds = kinds, .nkinds = 1), &worker,
                        &err),
         &err);
    must(awa_worker_start(worker, &err), &err);
    while (stats.completed < 3) {
        poll(NULL, 0, 10); /* milliseconds; a real program waits for its SIGTERM here */
        awa_worker_get_stats(worker, &stats);
    }
    must(awa_worker_stop(worker, -1, &err), &err);
    awa_worker_free(worker);
    PQfinish(conn);
    return 0;
}
