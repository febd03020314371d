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

/* awa__fail() with what Postgres said. res may be NULL if the session itself failed. */
awa_status awa__fail_pg(awa_error *err, PGconn *conn, const PGresult *res, const char *doing);

/* ---- Sessions ---------------------------------------------------------------------------- */

/*
 * awa_connect(), and whether a pooler stands in between. Behind a pooler each transaction may run
 * in another session of the server, which other clients use as well, so we may leave nothing in it.
 */
awa_status awa__connect(const char *conninfo, PGconn **ret_conn, bool *ret_pooled,
                        awa_error *err) AWA_CHECKED;

/* ---- Statements -------------------------------------------------------------------------- */

/* Writes a number as a parameter of a statement. 0 becomes NULL: the option was not set. */
const char *awa__number_param(char text[24], int64_t v);

/*
 * Runs one statement of sql/statements and waits for its rows, as long as it takes: for sessions
 * whose owner may wait. params may be NULL if the statement has no parameters.
 */
awa_status awa__query(PGconn *conn, const struct awa__sql *sql, const char *const *params,
                      PGresult **ret_res, awa_error *err) AWA_CHECKED;

/*
 * The same with a BEGIN before it, in one trip. If the session does not answer as expected, it is
 * shut down, so that libpq, and everybody who uses it later, finds it broken.
 */
awa_status awa__begin_query(PGconn *conn, const struct awa__sql *sql, const char *const *params,
                            PGresult **ret_res, awa_error *err) AWA_CHECKED;

/*
 * Waits for the last result of what was sent; `sent` is what PQsend...() returned. If the answer is
 * not complete after timeout_ms, that is ECONN, and the session is of no use: it is shut down.
 */
awa_status awa__await_result(PGconn *conn, int sent, const char *what, int64_t timeout_ms,
                             PGresult **ret_res, awa_error *err) AWA_CHECKED;

/*
 * Timed: statements on a session that the library owns. Each wait ends after AWA__ANSWER_MS,
 * somewhat later than the statement timeout of a worker's session. awa__exec_timed() runs a text
 * without parameters.
 */
enum { AWA__ANSWER_MS = 40000 };
awa_status awa__query_timed(PGconn *conn, const struct awa__sql *sql, const char *const *params,
                            PGresult **ret_res, awa_error *err) AWA_CHECKED;
awa_status awa__prepare(PGconn *conn, const struct awa__sql *sql, awa_error *err) AWA_CHECKED;
awa_status awa__exec_timed(PGconn *conn, const char *what, const char *text,
                           awa_error *err) AWA_CHECKED;

/*
 * Runs a text of one or more statements, as long as it takes. An error names the place as `what`,
 * or `what:line`.
 */
awa_status awa__exec(PGconn *conn, const char *what, const char *text, awa_error *err) AWA_CHECKED;

/* The place in a COPY at which something was refused. */
struct awa__copy_error {
    size_t line;                     /* from 1; 0: not known */
    char column[64], constraint[64]; /* "" if not known */
};

/*
 * COPY FROM STDIN: begin, put any number of times, end. After a successful begin the end must be
 * called. so_far != AWA_OK gives the COPY up, and is returned again. ret_at may be NULL. With
 * `commit`, the end of the COPY also commits the transaction, in the same trip.
 */
awa_status awa__copy_begin(PGconn *conn, const struct awa__sql *sql, bool commit,
                           awa_error *err) AWA_CHECKED;
awa_status awa__copy_put(PGconn *conn, const char *data, size_t len, awa_error *err) AWA_CHECKED;
awa_status awa__copy_end(PGconn *conn, const struct awa__sql *sql, awa_status so_far,
                         struct awa__copy_error *ret_at, awa_error *err) AWA_CHECKED;

#endif
