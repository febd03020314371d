/* SPDX-License-Identifier: MIT */
/*
 * What the files of libawa share. Nothing here is exported. Errors go into an awa_error that
 * may be NULL; outputs stay untouched on failure.
 */
#ifndef AWA_INTERNAL_H
#define AWA_INTERNAL_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <awa/awa.h>

#include "lib/embedded.h"

/* ---- Ownership --------------------------------------------------------------------------- */

/* Freed when it leaves scope. `unused`: a guard may have nothing else to do. */
#define AUTO(type) __attribute__((cleanup(auto_##type), unused))
#define TAKE(p)                     \
    ({                              \
        __typeof__(p) taken_ = (p); \
        (p) = NULL;                 \
        taken_;                     \
    })

/* AUTO(free) char *text: whatever comes from malloc. */
static inline void
auto_free(void *p)
{
    free(*(void **)p);
}

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

static inline void
auto_file(FILE **file)
{
    if (*file != NULL)
        (void)fclose(*file);
}

/* AUTO(fd) int fd = -1 */
static inline void
auto_fd(const int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

/* ---- Errors ------------------------------------------------------------------------------ */

/* Writes one line, `subject: what happened`, and returns status. %m works. */
awa_status awa__fail(awa_error *err, awa_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Messages carry other people's text: on one line, and if it was cut, between two characters. */
void awa__one_line(char *text, bool cut);

/* Where a failure changes nothing any more, such as a ROLLBACK on a session that broke. */
static inline void
awa__ignore(awa_status status)
{
    (void)status;
}

/* The same from what Postgres said. res may be NULL: the session itself failed. */
awa_status awa__fail_pg(awa_error *err, PGconn *conn, const PGresult *res, const char *doing);

/* ---- Options ----------------------------------------------------------------------------- */

/* Copies what both sides know; false if the caller set something that we do not know. */
bool awa__options_read(void *to, size_t to_size, const void *from, size_t from_size);

/* A number as a parameter of a statement; NULL for 0, which means the default, or nothing said. */
const char *awa__options_number(char text[24], int64_t v);

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
awa_status awa__sql_run(PGconn *conn, enum awa__sql_id id, const char *const *params,
                        PGresult **ret_res, awa_error *err) AWA_CHECKED;

/*
 * The same with a BEGIN before it, in one trip. A session that does not answer as expected is shut
 * down, so that libpq, and everybody who uses it later, finds it broken.
 */
awa_status awa__sql_begin(PGconn *conn, enum awa__sql_id id, const char *const *params,
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
awa_status awa__sql_ask(PGconn *conn, enum awa__sql_id id, const char *const *params,
                        PGresult **ret_res, awa_error *err) AWA_CHECKED;
awa_status awa__sql_prepare(PGconn *conn, enum awa__sql_id id, awa_error *err) AWA_CHECKED;
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
awa_status awa__sql_copy_begin(PGconn *conn, enum awa__sql_id id, bool commit,
                               awa_error *err) AWA_CHECKED;
awa_status awa__sql_copy_put(PGconn *conn, const char *data, size_t len,
                             awa_error *err) AWA_CHECKED;
awa_status awa__sql_copy_end(PGconn *conn, enum awa__sql_id id, awa_status so_far,
                             struct awa__copy_error *ret_at, awa_error *err) AWA_CHECKED;

/* ---- Migrate ----------------------------------------------------------------------------- */

/* A result for each look that found something; its first columns are what, and detail. */
struct awa__findings {
    PGresult *of[8];
    int n;
};

static inline void
auto_findings(struct awa__findings *f)
{
    while (f->n > 0)
        PQclear(f->of[--f->n]);
}

/* What a migration did. */
struct awa__migration {
    int from, to;        /* schema versions; 0: there was none */
    bool engine_applied; /* functions and views were replaced */
    struct awa__findings found;
};

static inline void
auto_migration(struct awa__migration *done)
{
    auto_findings(&done->found);
}

enum awa__migrate_mode {
    MIGRATE,       /* mends what differs; reads the tables only if the database was moved */
    MIGRATE_WHOLE, /* compares the tables in any case */
    MIGRATE_CHECK, /* only looks: what is found differs */
};

/*
 * ESCHEMA if the database has no schema or an older one. A newer one is good: the engine's
 * functions keep their form for a release after they went out of use.
 */
awa_status awa__schema_check(PGconn *conn, awa_error *err) AWA_CHECKED;

/* What `awa migrate` does; the output is to be freed by auto_migration(). */
awa_status awa__migrate(PGconn *conn, enum awa__migrate_mode mode, struct awa__migration *ret_done,
                        awa_error *err) AWA_CHECKED;

#endif
