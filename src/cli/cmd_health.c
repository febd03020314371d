/* SPDX-License-Identifier: MIT */
/* awa health: checks the whole system; exits with 1 if something is wrong. */
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/session.h"
#include "statements_cli.h"

int
cmd_health(struct call *call)
{
    AUTO(pgconn) PGconn *conn = NULL;
    AUTO(pgresult) PGresult *res = NULL;
    AUTO(free) char *json = NULL;
    int well = 0;
    awa_error err;
    awa_status s = session_open_engine(call, &conn, &err);

    if (s == AWA_OK)
        s = awa_health(conn, &well, &json, &err);
    if (s == AWA_OK && !call_flag(call, "json"))
        s = awa__query(conn, SQL_HEALTH_CHECK, NULL, &res, &err);
    if (s != AWA_OK)
        return report(&err);
    if (call_flag(call, "json"))
        puts(json);
    else
        print_table(call, res);
    return well ? EXIT_DONE : EXIT_FAILED;
}
