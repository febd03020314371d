/* SPDX-License-Identifier: MIT */
/*
 * A session on which statements are pipelined. One thread owns it. Rules of the pipeline:
 * - it never blocks;
 * - answers match statements by order;
 * - each statement has its own sync, so a failure stays in its statement, and the answer comes
 *   after the commit;
 * - after a successful submit the callback runs exactly once, also if the session dies.
 */
#ifndef AWA_CONN_H
#define AWA_CONN_H

#include "pg/pg.h"

/*
 * The answer to a statement: res is its result, or NULL with the reason in err. The callback may
 * take the result by setting *res to NULL; otherwise the result is cleared afterwards. The callback
 * may submit more statements.
 */
typedef void on_answer(void *arg, void *tag, PGresult **res, const awa_error *err);
typedef void on_notify(void *arg, const char *channel, const char *payload);

enum { CONN_PENDING_MAX = 16 };

struct pending {
    const struct awa__sql *sql;
    on_answer *done;
    void *tag;
    PGresult *res; /* arrived, its sync did not */
};

/* Whether a session still does its work. */
struct vitals {
    int failures;  /* in a row */
    int64_t since; /* monotonic ms of the first of them */
};

struct conn {
    PGconn *pg;  /* NULL while closed */
    bool pooled; /* the session keeps nothing: no settings, no prepared statements */
    on_notify *notify;
    void *arg; /* of all callbacks */
    struct pending ring[CONN_PENDING_MAX];
    unsigned head, tail; /* of ring; tail - head statements are under way */
    bool over;           /* the oldest statement has ended, its sync did not arrive */
    bool want_write;
    int64_t sent_at; /* monotonic ms: since then the oldest statement is waited for */
    int64_t queries; /* sent so far */
    struct vitals vitals;
    awa_error sick; /* why the session must be replaced; AWA_OK: it need not */
};

/* What the owner sends before the pipeline begins. It may block. */
typedef awa_status on_open(void *arg, PGconn *pg, awa_error *err);

/*
 * Notes how a statement ended; err is NULL if it went well. Returns true if the session must be
 * replaced: it may not write, or at least three statements in a row have failed, for 3 s. libpq
 * calls neither of these sessions broken.
 */
bool vitals_note(struct vitals *v, const awa_error *err, int64_t now);

/* Makes the settings of a worker's own session. EDB if it is read only, and so of no use. */
awa_status conn_set_up(PGconn *pg, const char *synchronous_commit, awa_error *err) AWA_CHECKED;

/*
 * Opens a session, prepares all statements of ids[] (the last one is NULL), calls greet unless it
 * is NULL, and begins the pipeline. Blocks, but not for ever. pooled: a pooler is known to stand in
 * between; if false, conn_open() finds that out. Behind a pooler nothing is set or prepared.
 */
awa_status conn_open(struct conn *c, const char *conninfo, bool pooled,
                     const char *synchronous_commit, const struct awa__sql *const *ids,
                     on_open *greet, awa_error *err) AWA_CHECKED;

/*
 * Ends the session. Statements that wait for an answer get ECONN. The session may be closed
 * already.
 */
void conn_close(struct conn *c);

/* Sends a statement. binary: the result's columns come in binary form. */
awa_status conn_submit(struct conn *c, const struct awa__sql *sql, const char *const *params,
                       bool binary, on_answer *done, void *tag, awa_error *err) AWA_CHECKED;

/* What poll() should wait for on PQsocket(c->pg). */
short conn_events(const struct conn *c);

/* Takes what has arrived and runs callbacks. If it fails, the owner closes the session. */
awa_status conn_dispatch(struct conn *c, short revents, awa_error *err) AWA_CHECKED;

static inline unsigned
conn_pending(const struct conn *c)
{
    return c->tail - c->head;
}

static inline bool
conn_is_open(const struct conn *c)
{
    return c->pg != NULL;
}

/*
 * Whether the session takes statements. One that must be replaced takes no more, and its owner
 * closes it once all answers are there.
 */
static inline bool
conn_is_ready(const struct conn *c)
{
    return c->pg != NULL && c->sick.status == AWA_OK;
}

#endif
