/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "cli/query.h"
#include "statements_api.h"
#include "statements_cli.h"

/* Column 1: in the table, the result of each check; with --json, that of all. */
static bool
is_well(const PGresult *res)
{
    for (int row = 0; row < PQntuples(res); row++)
        if (strcmp(PQgetvalue(res, row, 1), "NO") == 0 || strcmp(PQgetvalue(res, row, 1), "f") == 0)
            return false;
    return true;
}

int
cmd_health(struct call *call)
{
    static const struct query query = { SQL_HEALTH_CHECK, SQL_HEALTH_CHECK_JSON };
    AUTO(pgresult) PGresult *res = NULL;
    awa_error err;

    if (query_run(call, query, NULL, &res, &err) != AWA_OK)
        return report(&err);
    query_print(call, res);
    return is_well(res) ? EXIT_DONE : EXIT_FAILED;
}
