/* SPDX-License-Identifier: MIT */
/* Statuses and the one line of text that goes with them. */
#include "lib/internal.h"

#include <stdarg.h>
#include <string.h>

const char *
awa_version(void)
{
    return AWA_VERSION;
}

const char *
awa_status_text(awa_status status)
{
    static const char *const texts[] = {
#define X(name, text) [AWA_##name] = (text),
        AWA_STATUS_MAP(X)
#undef X
    };

    if ((size_t)status >= sizeof texts / sizeof texts[0])
        return "unknown status";
    return texts[status];
}

/* Messages carry other people's text: keep it on one line, and cut it between characters. */
static void
one_line(char *text, bool cut)
{
    size_t len = strlen(text);

    for (char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = ' ';
    while (cut && len > 0 && ((unsigned char)text[len - 1] & 0xc0) == 0x80)
        text[--len] = '\0';
    if (cut && len > 0 && (unsigned char)text[len - 1] >= 0xc0)
        text[--len] = '\0';
}

awa_status
awa__fail(awa_error *err, awa_status status, const char *format, ...)
{
    va_list args;
    int len;

    if (err == NULL)
        return status;

    /* The text first: its arguments may come out of the error that is being replaced. */
    char message[sizeof err->message];

    va_start(args, format);
    len = vsnprintf(message, sizeof message, format, args);
    va_end(args);
    one_line(message, len >= (int)sizeof message);

    *err = (awa_error){ .status = status };
    memcpy(err->message, message, sizeof message);
    return status;
}

static const struct {
    const char *prefix; /* of the SQLSTATE; the first match wins */
    awa_status status;
} sqlstates[] = {
    { "08", AWA_ECONN },        /* connection exception */
    { "57P", AWA_ECONN },       /* the server is going away */
    { "3F000", AWA_ESCHEMA },   /* there is no schema awa */
    { "42883", AWA_ESCHEMA },   /* it lacks a function that this library calls */
    { "JQ001", AWA_EINVAL },    /* ours: a broken contract */
    { "JQ002", AWA_ENOTFOUND }, /* ours: no such thing */
    { "JQ003", AWA_ESTALE },    /* ours: the attempt lost the job */
    { "JQ004", AWA_EEXISTS },   /* ours: the unique key is taken */
    { "JQ005", AWA_ESCHEMA },   /* ours: the caller is older than the schema */
    { "JQ006", AWA_EBUSY },     /* ours: it keeps moving; try again */
    { "23514", AWA_EINVAL },    /* check violation: a limit of a column */
    { "22", AWA_EINVAL },       /* data exception: bad JSON, bad encoding */
    { "", AWA_EDB },            /* anything else */
};

/* A dead session is ECONN whatever it said last. */
static awa_status
status_of(const PGconn *conn, const char *sqlstate)
{
    size_t i = 0;

    if (PQstatus(conn) == CONNECTION_BAD)
        return AWA_ECONN;
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

    status = status_of(conn, sqlstate);
    (void)awa__fail(err, status, "%s: %.*s%s%s", doing, (int)strcspn(text, "\n"), text,
                    hint != NULL ? "; " : "", hint != NULL ? hint : "");
    if (err != NULL)
        snprintf(err->sqlstate, sizeof err->sqlstate, "%s", sqlstate);
    return status;
}
