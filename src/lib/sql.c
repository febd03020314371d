/* SPDX-License-Identifier: MIT */
/*
 * Blocking statements. On a connection that the caller owns they are unnamed, because a
 * transaction pooler may sit in between.
 */
#include "lib/internal.h"

#include <string.h>

awa_status
awa__sql_run(PGconn *conn, enum awa__sql_id id, const char *const *params, PGresult **ret_res,
             awa_error *err)
{
    const struct awa__sql *sql = &awa__sql_all[id];
    AUTO(pgresult) PGresult *res = NULL;

    res = PQexecParams(conn, sql->text, sql->nparams, NULL, params, NULL, NULL, 0);
    switch (PQresultStatus(res)) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
        *ret_res = TAKE(res);
        return AWA_OK;
    default:
        return awa__fail_pg(err, conn, res, sql->name);
    }
}

/* The line of text that Postgres points at; 0 if it points nowhere. */
static int
line_of(const char *text, const PGresult *res)
{
    const char *position = PQresultErrorField(res, PG_DIAG_STATEMENT_POSITION);
    long left = position != NULL ? strtol(position, NULL, 10) : 0; /* characters, from 1 */
    int line = left > 0;

    for (; left > 1 && *text != '\0'; text++) {
        line += *text == '\n';
        left -= ((unsigned char)text[1] & 0xc0) != 0x80;
    }
    return line;
}

awa_status
awa__sql_exec(PGconn *conn, const char *what, const char *text, awa_error *err)
{
    AUTO(pgresult) PGresult *res = PQexec(conn, text);
    char place[128]; /* what is a short constant, or the name of a file of ours */
    int line;

    if (PQresultStatus(res) == PGRES_COMMAND_OK || PQresultStatus(res) == PGRES_TUPLES_OK)
        return AWA_OK;

    line = line_of(text, res);
    if (line == 0)
        return awa__fail_pg(err, conn, res, what);
    snprintf(place, sizeof place, "%s:%d", what, line);
    return awa__fail_pg(err, conn, res, place);
}

awa_status
awa__sql_copy_begin(PGconn *conn, enum awa__sql_id id, awa_error *err)
{
    AUTO(pgresult) PGresult *res = PQexec(conn, awa__sql_all[id].text);

    if (PQresultStatus(res) != PGRES_COPY_IN)
        return awa__fail_pg(err, conn, res, awa__sql_all[id].name);
    return AWA_OK;
}

awa_status
awa__sql_copy_put(PGconn *conn, const char *data, size_t len, awa_error *err)
{
    if (PQputCopyData(conn, data, (int)len) != 1)
        return awa__fail_pg(err, conn, NULL, "copy");
    return AWA_OK;
}

/* The context of an error in a COPY begins "COPY table, line N, column C: ...", where messages are
 * in English; in other languages the place stays unknown. */
static void
place_of(const PGresult *res, struct awa__copy_error *ret_at)
{
    const char *context = PQresultErrorField(res, PG_DIAG_CONTEXT);
    const char *constraint = PQresultErrorField(res, PG_DIAG_CONSTRAINT_NAME);
    const char *line = context != NULL ? strstr(context, ", line ") : NULL;
    const char *column = line != NULL ? strstr(line, ", column ") : NULL;

    if (line != NULL)
        ret_at->line = strtoul(line + strlen(", line "), NULL, 10);
    if (column != NULL)
        snprintf(ret_at->column, sizeof ret_at->column, "%.*s",
                 (int)strcspn(column + strlen(", column "), ":\n"), column + strlen(", column "));
    if (constraint != NULL)
        snprintf(ret_at->constraint, sizeof ret_at->constraint, "%s", constraint);
}

awa_status
awa__sql_copy_end(PGconn *conn, enum awa__sql_id id, awa_status so_far,
                  struct awa__copy_error *ret_at, awa_error *err)
{
    const char *give_up = so_far == AWA_OK ? NULL : "the client gave up";
    awa_status s = so_far;

    if (PQputCopyEnd(conn, give_up) != 1 && s == AWA_OK)
        s = awa__fail_pg(err, conn, NULL, awa__sql_all[id].name);
    for (PGresult *res; (res = PQgetResult(conn)) != NULL; PQclear(res))
        if (PQresultStatus(res) != PGRES_COMMAND_OK && s == AWA_OK) {
            s = awa__fail_pg(err, conn, res, awa__sql_all[id].name);
            if (ret_at != NULL)
                place_of(res, ret_at);
        }
    return s;
}
