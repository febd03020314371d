/* SPDX-License-Identifier: MIT */
/* Opens sessions that notice a dead peer, at both ends. */
#include "lib/internal.h"

#include <string.h>

/* Of this side: a black hole is noticed within 15 seconds, in whatever state it swallows us. */
static const struct {
    const char *keyword, *value;
} defaults[] = {
    { "application_name", "awa" },  { "connect_timeout", "5" },  { "keepalives_idle", "5" },
    { "keepalives_interval", "3" }, { "keepalives_count", "3" }, { "tcp_user_timeout", "10000" },
};

enum { NDEFAULTS = sizeof defaults / sizeof defaults[0] };

/*
 * What libpq makes of the connection string, the service file and the environment. It does not
 * tell before it has a connection object, so it gets one with a setting that it must refuse:
 * everything is read, and nothing is sent.
 */
static PQconninfoOption *
resolve(const char *conninfo)
{
    const char *const keywords[] = { "dbname", "target_session_attrs", NULL };
    const char *const values[] = { conninfo, "refuse", NULL };
    AUTO(pgconn) PGconn *unborn = PQconnectStartParams(keywords, values, true);

    return PQconninfo(unborn);
}

static bool
is_set(const PQconninfoOption *options, const char *keyword)
{
    for (; options->keyword != NULL; options++)
        if (strcmp(options->keyword, keyword) == 0)
            return options->val != NULL;
    return true; /* this libpq does not know it */
}

static PGconn *
open_session(const char *conninfo, const PQconninfoOption *chosen)
{
    const char *keywords[NDEFAULTS + 2] = { "dbname" };
    const char *values[NDEFAULTS + 2] = { conninfo };
    size_t n = 1;

    for (size_t i = 0; i < NDEFAULTS; i++) {
        if (is_set(chosen, defaults[i].keyword))
            continue;
        keywords[n] = defaults[i].keyword;
        values[n++] = defaults[i].value;
    }
    return PQconnectdbParams(keywords, values, true);
}

awa_status
awa_connect(const char *conninfo, PGconn **ret_conn, awa_error *reterr)
{
    AUTO(conninfo) PQconninfoOption *chosen = NULL;
    AUTO(pgconn) PGconn *conn = NULL;
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s;

    if (ret_conn == NULL)
        return awa__fail(reterr, AWA_EINVAL, "connect: nowhere to put the session");
    chosen = resolve(conninfo);
    if (chosen != NULL)
        conn = open_session(conninfo, chosen);
    if (conn == NULL)
        return awa__fail(reterr, AWA_ENOMEM, "connect: out of memory");
    if (PQstatus(conn) != CONNECTION_OK)
        return awa__fail_pg(reterr, conn, NULL, "connect");

    s = awa__sql_run(conn, SQL_SESSION_SETUP, NULL, &res, reterr);
    if (s != AWA_OK)
        return s;
    *ret_conn = TAKE(conn);
    return AWA_OK;
}
