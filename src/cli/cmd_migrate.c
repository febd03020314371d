/* SPDX-License-Identifier: MIT */
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/session.h"

static void
print_files(const struct awa__migration *done)
{
    for (int n = done->from; n < done->to; n++)
        printf("applied %s\n", awa__schema_files[n].name);
    if (done->engine_applied)
        puts("applied the engine");
    else
        puts("nothing to do");
}

static awa_status
print_report(PGconn *conn, const struct awa__migration *done, awa_error *err)
{
    AUTO(pgresult) PGresult *res = NULL;
    char from[12], to[12];
    awa_status s;

    snprintf(from, sizeof from, "%d", done->from);
    snprintf(to, sizeof to, "%d", done->to);
    s = awa__sql_run(conn, SQL_MIGRATION_REPORT,
                     (const char *[]){ from, to, done->engine_applied ? "true" : "false" }, &res,
                     err);
    if (s == AWA_OK)
        print_json(res);
    return s;
}

int
cmd_migrate(struct call *call)
{
    AUTO(pgconn) PGconn *conn = NULL;
    struct awa__migration done = { 0 };
    awa_error err;
    awa_status s;

    s = session_open(call, &conn, &err);
    if (s == AWA_OK)
        s = awa__migrate(conn, &done, &err);
    if (s == AWA_OK && call_flag(call, "json"))
        s = print_report(conn, &done, &err);
    else if (s == AWA_OK && !call_flag(call, "quiet"))
        print_files(&done);
    return s == AWA_OK ? EXIT_DONE : report(&err);
}
