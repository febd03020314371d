/* SPDX-License-Identifier: MIT */
/* An error of Postgres as a status and one line. */
#include <string.h>

#include "pg/pg.h"

static const struct {
    const char *prefix; /* of the SQLSTATE; the first match wins */
    awa_status status;
} sqlstates[] = {
    { "08", AWA_ECONN },        /* connection exception */
    { "57P", AWA_ECONN },       /* the server is going away */
    { "JQ001", AWA_EINVAL },    /* ours: a broken contract */
    { "JQ002", AWA_ENOTFOUND }, /* ours: no such thing */
    { "JQ003", AWA_ESTALE },    /* ours: the attempt lost the job */
    { "JQ004", AWA_EEXISTS },   /* ours: the unique key is taken */
    { "JQ005", AWA_ESCHEMA },   /* ours: the caller is older than the schema */
    { "JQ006", AWA_EBUSY },     /* ours: it keeps moving; try again */
    { "JQ007", AWA_EBUSY },     /* ours: it is in use */
    { "55P03", AWA_EBUSY },     /* lock_timeout */
    { "40", AWA_EBUSY },        /* deadlock, serialization failure */
    { "53", AWA_EBUSY },        /* no room on the disk, no memory, too many sessions */
    { "23514", AWA_EINVAL },    /* check violation: a limit of a column */
    { "22", AWA_EINVAL },       /* data exception: bad JSON, bad encoding */
    { "54", AWA_EINVAL },       /* larger than Postgres can take */
    { "", AWA_EDB },            /* anything else */
};

/*
 * Whether a message names something in schema awa. The message may be in any language, so any
 * quotes may stand around the name.
 */
static bool
names_schema_awa(const char *text)
{
    static const char word[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.";

    for (const char *at = text; (at = strstr(at, "awa")) != NULL; at += strlen("awa"))
        if ((at == text || strchr(word, at[-1]) == NULL) &&
            (at[3] == '.' || at[3] == '"' || (unsigned char)at[3] >= 0x80))
            return true;
    return false;
}

/*
 * Whether the schema, or something that this library uses in it, is missing: there was no
 * migration, or none that is new enough. An error about something else is not meant: triggers and
 * functions of other people may miss something of their own.
 */
static bool
wants_migration(const char *sqlstate, const char *text)
{
    static const char *const missing[] = { "3F000", "42P01", "42883", "42704" };

    for (size_t i = 0; i < sizeof missing / sizeof missing[0]; i++)
        if (strcmp(sqlstate, missing[i]) == 0)
            return names_schema_awa(text);
    return false;
}

/*
 * A dead session is ECONN, whatever it said last. An error without an SQLSTATE is ECONN, too: it is
 * libpq's own, which had no memory for the answer or could not read it, so the statement may have
 * been committed.
 */
static awa_status
status_of(const PGconn *conn, const char *sqlstate, const char *text)
{
    size_t i = 0;

    if (PQstatus(conn) == CONNECTION_BAD || sqlstate[0] == '\0')
        return AWA_ECONN;
    if (wants_migration(sqlstate, text))
        return AWA_ESCHEMA;
    while (strncmp(sqlstate, sqlstates[i].prefix, strlen(sqlstates[i].prefix)) != 0)
        i++;
    return sqlstates[i].status;
}

awa_status
awa__fail_pg(awa_error *err, PGconn *conn, const PGresult *res, const char *doing)
{
    const char *sqlstate = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    const char *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
    const char *hint = PQresultErrorField(res, PG_DIAG_MESSAGE_HINT);
    awa_status status;

    if (sqlstate == NULL)
        sqlstate = "";
    if (text == NULL)
        text = PQerrorMessage(conn);

    status = status_of(conn, sqlstate, text);
    if (wants_migration(sqlstate, text))
        hint = "run awa migrate";
    else if (hint == NULL && strcmp(sqlstate, "42501") == 0)
        hint = "the login needs another role of awa";
    (void)awa__fail(err, status, "%s: %.*s%s%s", doing, (int)strcspn(text, "\n"), text,
                    hint != NULL ? "; " : "", hint != NULL ? hint : "");
    if (err != NULL)
        snprintf(err->sqlstate, sizeof err->sqlstate, "%s", sqlstate);
    return status;
}
