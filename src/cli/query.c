/* SPDX-License-Identifier: MIT */
/* See query.h. */
#include "cli/query.h"

#include "cli/output.h"
#include "cli/session.h"

awa_status
query_run(const struct call *call, const struct awa__sql *table, const char *const *params,
          PGresult **ret_res, awa_error *err)
{
    AUTO(pgconn) PGconn *conn = NULL;
    awa_status s = session_open_engine(call, &conn, err);

    return s == AWA_OK ? awa__query(conn, table, params, ret_res, err) : s;
}

int
query_show(const struct call *call, const struct awa__sql *table, const char *const *params)
{
    AUTO(pgresult) PGresult *res = NULL;
    awa_error err;

    if (query_run(call, table, params, &res, &err) != AWA_OK)
        return report(&err);
    print_table(call, res);
    return EXIT_DONE;
}

int
query_json(const struct call *call, json_call *how, const void *arg)
{
    AUTO(pgconn) PGconn *conn = NULL;
    AUTO(free) char *json = NULL;
    awa_error err;
    awa_status s = session_open_engine(call, &conn, &err);

    if (s == AWA_OK)
        s = how(conn, arg, &json, &err);
    if (s != AWA_OK)
        return report(&err);
    puts(json);
    return EXIT_DONE;
}
