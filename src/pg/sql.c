/* SPDX-License-Identifier: MIT */
/*
 * Blocking statements. On a connection that the caller owns, statements are unnamed, because a
 * transaction pooler may sit in between, and they wait for as long as the caller's server takes. On
 * the library's own sessions every wait has an end.
 */
#include "pg/pg.h"

#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/buffer.h"
#include "base/clock.h"

enum { SYNC_MS = 10000 }; /* from the last answer of a pipeline to its end */

static bool
went_well(const PGresult *res)
{
    return PQresultStatus(res) == PGRES_COMMAND_OK || PQresultStatus(res) == PGRES_TUPLES_OK;
}

const char *
awa__number_param(char text[24], int64_t v)
{
    if (v == 0)
        return NULL;
    snprintf(text, 24, "%" PRId64, v);
    return text;
}

awa_status
awa__query(PGconn *conn, const struct awa__sql *sql, const char *const *params, PGresult **ret_res,
           awa_error *err)
{
    AUTO(pgresult) PGresult *res = NULL;

    res = PQexecParams(conn, sql->text, sql->nparams, NULL, params, NULL, NULL, 0);
    if (!went_well(res))
        return awa__fail_pg(err, conn, res, sql->name);
    *ret_res = TAKE(res);
    return AWA_OK;
}

/* ---- With an end ------------------------------------------------------------------------- */

/*
 * Returns false if the answer is not there in time. If the session broke, it returns true: the
 * caller finds that out when it reads.
 */
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

/* Makes sure that nothing is asked any more: a later user of the session finds it broken. */
static void
shut_down(PGconn *conn)
{
    (void)shutdown(PQsocket(conn), SHUT_RDWR);
    (void)PQconsumeInput(conn);
}

awa_status
awa__await_result(PGconn *conn, int sent, const char *what, int64_t timeout_ms, PGresult **ret_res,
                  awa_error *err)
{
    int64_t until = clock_ms() + timeout_ms;
    AUTO(pgresult) PGresult *last = NULL;

    if (!sent)
        return awa__fail_pg(err, conn, NULL, what);
    for (;;) {
        PGresult *res;

        if (!wait_for_answer(conn, until)) {
            shut_down(conn);
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
awa__query_timed(PGconn *conn, const struct awa__sql *sql, const char *const *params,
                 PGresult **ret_res, awa_error *err)
{
    return awa__await_result(
        conn, PQsendQueryParams(conn, sql->text, sql->nparams, NULL, params, NULL, NULL, 0),
        sql->name, AWA__ANSWER_MS, ret_res, err);
}

awa_status
awa__prepare(PGconn *conn, const struct awa__sql *sql, awa_error *err)
{
    AUTO(pgresult) PGresult *res = NULL;

    return awa__await_result(conn, PQsendPrepare(conn, sql->name, sql->text, 0, NULL), sql->name,
                             AWA__ANSWER_MS, &res, err);
}

awa_status
awa__exec_timed(PGconn *conn, const char *what, const char *text, awa_error *err)
{
    AUTO(pgresult) PGresult *res = NULL;

    return awa__await_result(conn, PQsendQuery(conn, text), what, AWA__ANSWER_MS, &res, err);
}

/* ---- A beginning ------------------------------------------------------------------------- */

/* The answer to one statement of a pipeline. */
static PGresult *
next_answer(PGconn *conn)
{
    PGresult *res = PQgetResult(conn);

    for (PGresult *more = res; more != NULL; more = PQgetResult(conn))
        if (more != res)
            PQclear(more);
    return res;
}

/*
 * Takes the sync of a pipeline. It is there at once, unless libpq had no memory for it: then
 * PQgetResult() would wait for ever, so the wait has an end.
 */
static bool
next_is_sync(PGconn *conn)
{
    AUTO(pgresult) PGresult *res = NULL;

    if (wait_for_answer(conn, clock_ms() + SYNC_MS))
        res = PQgetResult(conn);
    return PQresultStatus(res) == PGRES_PIPELINE_SYNC;
}

awa_status
awa__begin_query(PGconn *conn, const struct awa__sql *sql, const char *const *params,
                 PGresult **ret_res, awa_error *err)
{
    AUTO(pgresult) PGresult *begin = NULL;
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s;
    bool whole;

    if (PQpipelineStatus(conn) != PQ_PIPELINE_OFF)
        return awa__fail(err, AWA_EINVAL, "%s: the session is in pipeline mode", sql->name);
    whole = PQenterPipelineMode(conn) &&
            PQsendQueryParams(conn, "BEGIN", 0, NULL, NULL, NULL, NULL, 0) &&
            PQsendQueryParams(conn, sql->text, sql->nparams, NULL, params, NULL, NULL, 0) &&
            PQpipelineSync(conn);
    if (whole) {
        begin = next_answer(conn);
        res = next_answer(conn);
        whole = next_is_sync(conn);
    }
    whole = whole && PQexitPipelineMode(conn);
    if (whole && went_well(begin) && went_well(res)) {
        *ret_res = TAKE(res);
        return AWA_OK;
    }
    if (went_well(begin) && went_well(res))
        s = awa__fail(err, AWA_ECONN, "%s: the end of the answer is missing", sql->name);
    else
        s = awa__fail_pg(err, conn, went_well(begin) ? res : begin, sql->name);
    if (!whole)
        shut_down(conn);
    return s;
}

/* ---- Texts ------------------------------------------------------------------------------- */

/* The line of the text that Postgres points at; 0 if it points nowhere. */
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
awa__exec(PGconn *conn, const char *what, const char *text, awa_error *err)
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
awa__copy_begin(PGconn *conn, const struct awa__sql *sql, bool commit, awa_error *err)
{
    AUTO(buffer) struct buffer text = { 0 };
    AUTO(pgresult) PGresult *res = NULL;

    buffer_format(&text, "%s%s", sql->text, commit ? "; COMMIT" : "");
    if (text.failed)
        return awa__fail(err, AWA_ENOMEM, "%s: out of memory", sql->name);
    res = PQexec(conn, text.data);
    if (PQresultStatus(res) != PGRES_COPY_IN)
        return awa__fail_pg(err, conn, res, sql->name);
    return AWA_OK;
}

awa_status
awa__copy_put(PGconn *conn, const char *data, size_t len, awa_error *err)
{
    if (PQputCopyData(conn, data, (int)len) != 1)
        return awa__fail_pg(err, conn, NULL, "copy");
    return AWA_OK;
}

/*
 * Reads the place of an error in a COPY. Its context begins "COPY table, line N, column C: ..." if
 * messages are in English; in other languages the place stays unknown.
 */
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
awa__copy_end(PGconn *conn, const struct awa__sql *sql, awa_status so_far,
              struct awa__copy_error *ret_at, awa_error *err)
{
    const char *give_up = so_far == AWA_OK ? NULL : "the client gave up";
    awa_status s = so_far;

    if (PQputCopyEnd(conn, give_up) != 1 && s == AWA_OK)
        s = awa__fail_pg(err, conn, NULL, sql->name);
    for (PGresult *res; (res = PQgetResult(conn)) != NULL; PQclear(res))
        if (PQresultStatus(res) != PGRES_COMMAND_OK && s == AWA_OK) {
            s = awa__fail_pg(err, conn, res, sql->name);
            if (ret_at != NULL)
                place_of(res, ret_at);
        }
    return s;
}
