/* SPDX-License-Identifier: MIT */
/* Opens sessions that notice a dead peer, at both ends. */
#include "pg/pg.h"

#include <string.h>

#include "statements_pg.h"

/*
 * Deadlines of this side: a peer that does not answer any more is noticed within 15 seconds, in
 * whatever state the session is.
 */
static const struct {
    const char *keyword, *value;
} defaults[] = {
    { "application_name", "awa" },  { "connect_timeout", "5" },  { "keepalives_idle", "5" },
    { "keepalives_interval", "3" }, { "keepalives_count", "3" }, { "tcp_user_timeout", "10000" },
};

enum { NDEFAULTS = sizeof defaults / sizeof defaults[0] };

/*
 * The encoding of all texts that cross the API. It is sent at the start of the session, because a
 * pooler keeps what comes then.
 */
static const char encoding[] = "UTF8";

/*
 * What libpq makes of the connection string, the service file and the environment. libpq tells that
 * only to a connection object. So resolve() makes one with a setting that libpq must refuse: libpq
 * reads everything and sends nothing.
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
    const char *keywords[NDEFAULTS + 3] = { "dbname", "client_encoding" };
    const char *values[NDEFAULTS + 3] = { conninfo, encoding };
    size_t n = 2;

    for (size_t i = 0; i < NDEFAULTS; i++) {
        if (is_set(chosen, defaults[i].keyword))
            continue;
        keywords[n] = defaults[i].keyword;
        values[n++] = defaults[i].value;
    }
    return PQconnectdbParams(keywords, values, true);
}

awa_status
awa__connect(const char *conninfo, PGconn **ret_conn, bool *ret_pooled, awa_error *err)
{
    AUTO(conninfo) PQconninfoOption *chosen = resolve(conninfo);
    AUTO(pgconn) PGconn *conn = NULL;
    AUTO(pgresult) PGresult *res = NULL;
    char pid[12];
    awa_status s;

    if (chosen != NULL)
        conn = open_session(conninfo, chosen);
    if (conn == NULL)
        return awa__fail(err, AWA_ENOMEM, "connect: out of memory");
    if (PQstatus(conn) != CONNECTION_OK)
        return awa__fail_pg(err, conn, NULL, "connect");

    snprintf(pid, sizeof pid, "%d", PQbackendPID(conn));
    s = awa__query_timed(conn, SQL_SESSION_SETUP, (const char *[]){ pid }, &res, err);
    if (s != AWA_OK)
        return s;
    *ret_pooled = strcmp(PQgetvalue(res, 0, 1), "t") == 0;
    *ret_conn = TAKE(conn);
    return AWA_OK;
}

awa_status
awa_connect(const char *conninfo, PGconn **ret_conn, awa_error *reterr)
{
    bool pooled;

    if (ret_conn == NULL)
        return awa__fail(reterr, AWA_EINVAL, "connect: nowhere to put the session");
    return awa__connect(conninfo, ret_conn, &pooled, reterr);
}
