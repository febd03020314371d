/* SPDX-License-Identifier: MIT */
/*
 * Blocking statements. On a connection that the caller owns they are unnamed, because a
 * transaction pooler may sit in between; and they wait as long as the caller's server does. On the
 * library's own sessions every wait has an end.
 */
#include "lib/internal.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/clock.h"

static bool
went_well(const PGresult *res)
{
    return PQresultStatus(res) == PGRES_COMMAND_OK || PQresultStatus(res) == PGRES_TUPLES_OK;
}

awa_status
awa__sql_run(PGconn *conn, enum awa__sql_id id, const char *const *params, PGresult **ret_res,
             awa_error *err)
{
    const struct awa__sql *sql = &awa__sql_all[id];
    AUTO(pgresult) PGresult *res = NULL;

    res = PQexecParams(conn, sql->text, sql->nparams, NULL, params, NULL, NULL, 0);
    if (!went_well(res))
        return awa__fail_pg(err, conn, res, sql->name);
    *ret_res = TAKE(res);
    return AWA_OK;
}

/* ---- With an end ------------------------------------------------------------------------- */

/* False: the answer is not there in time. That a session broke is found by who reads it. */
static bool
wait_for_answer(PGconn *conn, int64_t until)
{
    while (PQisBusy(conn)) {
        struct pollfd fd = { .fd = PQsocket(conn), .events = POLLIN };
        int64_t left = until - clock_ms();

        if (left <= 0)
            return false;
        if (poll(&fd, 1, (int)left) > 0 && !PQconsumeInput(conn))
            return true;
    }
    return true;
}

awa_status
awa__sql_await(PGconn *conn, int sent, const char *what, int64_t timeout_ms, PGresult **ret_res,
               awa_error *err)
{
    int64_t until = clock_ms() + timeout_ms;
    AUTO(pgresult) PGresult *last = NULL;

    if (!sent)
        return awa__fail_pg(err, conn, NULL, what);
    for (;;) {
        PGresult *res;

        if (!wait_for_answer(conn, until)) {
            (void)shutdown(PQsocket(conn), SHUT_RDWR);
            (void)PQconsumeInput(conn);
            return awa__fail(err, AWA_ECONN, "%s: no answer for %lld ms", what,
                             (long long)timeout_ms);
        }
        res = PQgetResult(conn);
        if (res == NULL)
            break;
        PQclear(last);
        last = res;
    }
    if (!went_well(last))
        return awa__fail_pg(err, conn, last, what);
    *ret_res = TAKE(last);
    return AWA_OK;
}

awa_status
awa__sql_ask(PGconn *conn, enum awa__sql_id id, const char *const *params, PGresult **ret_res,
             awa_error *err)
{
    const struct awa__sql *sql = &awa__sql_all[id];

    return awa__sql_await(
        conn, PQsendQueryParams(conn, sql->text, sql->nparams, NULL, params, NULL, NULL, 0),
        sql->name, AWA__ANSWER_MS, ret_res, err);
}

awa_status
awa__sql_prepare(PGconn *conn, enum awa__sql_id id, awa_error *err)
{
    const struct awa__sql *sql = &awa__sql_all[id];
    AUTO(pgresult) PGresult *res = NULL;

    return awa__sql_await(conn, PQsendPrepare(conn, sql->name, sql->text, 0, NULL), sql->name,
                          AWA__ANSWER_MS, &res, err);
}

awa_status
awa__sql_say(PGconn *conn, const char *what, const char *text, awa_error *err)
{
    AUTO(pgresult) PGresult *res = NULL;

    return awa__sql_await(conn, PQsendQuery(conn, text), what, AWA__ANSWER_MS, &res, err);
}

/* ---- Texts ------------------------------------------------------------------------------- */

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

    if (went_well(res))
        return AWA_OK;

    line = line_of(text, res);
    if (line == 0)
        return awa__fail_pg(err, conn, res, what);
    snprintf(place, sizeof place, "%s:%d", what, line);
    return awa__fail_pg(err, conn, res, place);
}

/* ---- COPY -------------------------------------------------------------------------------- */

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
