/* SPDX-License-Identifier: MIT */
/* See job_wait.h. */
#include "cli/job_wait.h"

#include <string.h>

#include "base/buffer.h"
#include "cli/output.h"
#include "statements_cli.h"

/* Prints the output as it is, with a line feed behind it. */
static void
print_output(const char *output)
{
    size_t len = strlen(output);

    (void)fwrite(output, 1, len, stdout);
    if (len > 0 && output[len - 1] != '\n')
        putchar('\n');
}

/* Prints the output, unless the job is printed as JSON; and the error, if it did not complete. */
static awa_status
print_result(const struct call *call, PGconn *conn, int64_t id, awa_error *err)
{
    AUTO(pgresult) PGresult *res = NULL;
    AUTO(buffer) struct buffer line = { 0 };
    char text[24];
    awa_status s;

    snprintf(text, sizeof text, "%lld", (long long)id);
    s = awa__query(conn, SQL_JOB_RESULT, (const char *[]){ text }, &res, err);
    if (s != AWA_OK || PQntuples(res) == 0)
        return s;
    if (!PQgetisnull(res, 0, 0) && !call_flag(call, "json"))
        print_output(PQgetvalue(res, 0, 0));
    if (PQgetisnull(res, 0, 2))
        return AWA_OK;
    buffer_format(&line, "job %s: %s: %s", text, PQgetvalue(res, 0, 1), PQgetvalue(res, 0, 2));
    if (line.failed)
        return awa__fail(err, AWA_ENOMEM, "wait: out of memory");
    log_line(line.data);
    return AWA_OK;
}

int
job_wait(const struct call *call, PGconn *conn, int64_t id)
{
    AUTO(free) char *json = NULL;
    int completed = 0;
    awa_error err;
    awa_status s = awa_job_wait(conn, id, call_number(call, "timeout"), &json, &completed, &err);

    if (s == AWA_OK && call_flag(call, "json"))
        puts(json);
    if (s == AWA_OK)
        s = print_result(call, conn, id, &err);
    if (s != AWA_OK)
        return report(&err);
    return completed ? EXIT_DONE : EXIT_JOBS_FAILED;
}
