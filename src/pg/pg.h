/* SPDX-License-Identifier: MIT */
/* Sessions and statements: the one home of libpq. */
#ifndef AWA_PG_H
#define AWA_PG_H

#include <stdbool.h>

#include "base/error.h"
#include "base/own.h"
#include "pg/embedded.h"

static inline void
auto_pgresult(PGresult **res)
{
    PQclear(*res);
}

static inline void
auto_pgconn(PGconn **conn)
{
    PQfinish(*conn);
}

static inline void
auto_conninfo(PQconninfoOption **options)
{
    PQconninfoFree(*options);
}

/* awa__fail() with what Postgres said. res may be NULL: the session itself failed. */
awa_status awa__fail_pg(awa_error *err, PGconn *conn, const PGresult *res, const char *doing);

/* ---- Sessions ---------------------------------------------------------------------------- */

/*
 * awa_connect(), and whether a pooler stands in between: then each transaction may run in another
 * session of the server, which others use as well, so nothing may be left in it.
 */
awa_status awa__connect(const char *conninfo, PGconn **ret_conn, bool *ret_pooled,
                        awa_error *err) AWA_CHECKED;

/* ---- Statements -------------------------------------------------------------------------- */

/* Runs one statement of sql/statements and waits for its rows. params may be NULL if it has none.
 */
awa_status awa__sql_run(PGconn *conn, const struct awa__sql *sql, const char *const *params,
                        PGresult **ret_res, awa_error *err) AWA_CHECKED;

/*
 * The same with a BEGIN before it, in one trip. A session that does not answer as expected is shut
 * down, so that libpq, and everybody who uses it later, finds it broken.
 */
awa_status awa__sql_begin(PGconn *conn, const struct awa__sql *sql, const char *const *params,
                          PGresult **ret_res, awa_error *err) AWA_CHECKED;

/*
 * The last result of what was sent; sent: what PQsend...() returned. A server that is silent for so
 * long is ECONN, and the session is of no use: it is shut down as well.
 */
awa_status awa__sql_await(PGconn *conn, int sent, const char *what, int64_t timeout_ms,
                          PGresult **ret_res, awa_error *err) AWA_CHECKED;

/*
 * On a session that the library owns, every wait has such an end, somewhat later than the statement
 * timeout of that session. awa__sql_say() is for a text without parameters.
 */
enum { AWA__ANSWER_MS = 40000 };
awa_status awa__sql_ask(PGconn *conn, const struct awa__sql *sql, const char *const *params,
                        PGresult **ret_res, awa_error *err) AWA_CHECKED;
awa_status awa__sql_prepare(PGconn *conn, const struct awa__sql *sql, awa_error *err) AWA_CHECKED;
awa_status awa__sql_say(PGconn *conn, const char *what, const char *text,
                        awa_error *err) AWA_CHECKED;

/* Runs a constant text of one or more statements; an error is at `what`, or `what:line`. */
awa_status awa__sql_exec(PGconn *conn, const char *what, const char *text,
                         awa_error *err) AWA_CHECKED;

/* Where in a COPY something was refused. */
struct awa__copy_error {
    size_t line;                     /* from 1; 0: not known */
    char column[64], constraint[64]; /* "" if not known */
};

/*
 * COPY FROM STDIN: begin, put any number of times, end. After a successful begin the end must
 * come; so_far != AWA_OK gives up, and is returned again. ret_at may be NULL. With `commit` the end
 * commits the transaction, too, in the same trip.
 */
awa_status awa__sql_copy_begin(PGconn *conn, const struct awa__sql *sql, bool commit,
                               awa_error *err) AWA_CHECKED;
awa_status awa__sql_copy_put(PGconn *conn, const char *data, size_t len,
                             awa_error *err) AWA_CHECKED;
awa_status awa__sql_copy_end(PGconn *conn, const struct awa__sql *sql, awa_status so_far,
                             struct awa__copy_error *ret_at, awa_error *err) AWA_CHECKED;

#endif
