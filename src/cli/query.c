/* SPDX-License-Identifier: MIT */
/* See query.h. */
#include "cli/query.h"

#include "cli/output.h"
#include "cli/session.h"

awa_status
query_run(const struct call *call, struct query query, const char *const *params,
          PGresult **ret_res, awa_error *err)
{
    AUTO(pgconn) PGconn *conn = NULL;
    awa_status s = session_open_engine(call, &conn, err);

    if (s != AWA_OK)
        return s;
    return awa__sql_run(conn, call_flag(call, "json") ? query.json : query.table, params, ret_res,
                        err);
}

void
query_print(const struct call *call, const PGresult *res)
{
    if (call_flag(call, "json"))
        print_json(res);
    else
        print_table(call, res);
}

int
query_show(const struct call *call, struct query query, const char *const *params)
{
    AUTO(pgresult) PGresult *res = NULL;
    awa_error err;

    if (query_run(call, query, params, &res, &err) != AWA_OK)
        return report(&err);
    query_print(call, res);
    return EXIT_DONE;
}
