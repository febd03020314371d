/* SPDX-License-Identifier: MIT */
/* See schema.h. */
#include "lib/schema.h"

#include "pg/pg.h"
#include "statements_lib.h"

awa_status
awa__schema_check(PGconn *conn, awa_error *err)
{
    AUTO(pgresult) PGresult *res = NULL;
    awa_error why;
    awa_status s;
    long found, known = 0;

    s = awa__query_timed(conn, SQL_SCHEMA_VERSION, NULL, &res, &why);
    if (s == AWA_ESCHEMA)
        return awa__fail(err, AWA_ESCHEMA, "schema: this database has none; run awa migrate");
    if (s != AWA_OK)
        return awa__fail(err, s, "%s", why.message);

    while (awa__schema_files[known].name != NULL)
        known++;
    found = strtol(PQgetvalue(res, 0, 0), NULL, 10);
    if (found < known)
        return awa__fail(err, AWA_ESCHEMA,
                         "schema: the database has version %ld, this is awa %s "
                         "for version %ld; run awa migrate",
                         found, AWA_VERSION, known);
    return AWA_OK;
}
