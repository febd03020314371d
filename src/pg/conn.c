/* SPDX-License-Identifier: MIT */
/* See conn.h. */
#include "pg/conn.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "statements_pg.h"

enum {
    SICK_FAILURES = 3, /* so many statements in a row have failed, */
    SICK_MS = 3000,    /* for so long */
};

/* An error that the engine raises by a rule of its own is a sign of life, and no failure. */
static bool
is_failure(const awa_error *err)
{
    return err != NULL &&
           (err->status == AWA_EDB || err->status == AWA_EBUSY || err->status == AWA_ESCHEMA);
}

bool
vitals_note(struct vitals *v, const awa_error *err, int64_t now)
{
    if (!is_failure(err)) {
        *v = (struct vitals){ 0 };
        return false;
    }
    if (v->failures++ == 0)
        v->since = now;
    if (strcmp(err->sqlstate, "25006") == 0) /* read-only transaction */
        return true;
    return v->failures >= SICK_FAILURES && now - v->since >= SICK_MS;
}

awa_status
conn_set_up(PGconn *pg, const char *synchronous_commit, awa_error *err)
{
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s = awa__query_timed(pg, SQL_WORKER_SESSION, &synchronous_commit, &res, err);

    if (s == AWA_OK && strcmp(PQgetvalue(res, 0, 0), "t") == 0)
        return awa__fail(err, AWA_EDB, "the database gives sessions that are read only");
    return s;
}

static awa_status
prepare_all(PGconn *pg, const struct awa__sql *const *ids, awa_error *err)
{
    awa_status s = AWA_OK;

    for (; *ids != NULL && s == AWA_OK; ids++)
        s = awa__prepare(pg, *ids, err);
    return s;
}

awa_status
conn_open(struct conn *c, const char *conninfo, bool pooled, const char *synchronous_commit,
          const struct awa__sql *const *ids, on_open *greet, awa_error *err)
{
    AUTO(pgconn) PGconn *pg = NULL;
    bool found = false;
    awa_status s;

    s = awa__connect(conninfo, &pg, &found, err);
    c->pooled = pooled || found;
    if (s == AWA_OK && !c->pooled)
        s = conn_set_up(pg, synchronous_commit, err);
    if (s == AWA_OK && !c->pooled)
        s = prepare_all(pg, ids, err);
    if (s == AWA_OK && greet != NULL)
        s = greet(c->arg, pg, err);
    if (s != AWA_OK)
        return s;
    if (PQsetnonblocking(pg, 1) != 0 || !PQenterPipelineMode(pg))
        return awa__fail_pg(err, pg, NULL, "pipeline");
    c->pg = TAKE(pg);
    c->head = c->tail = 0;
    c->over = false;
    c->want_write = false;
    c->vitals = (struct vitals){ 0 };
    c->sick.status = AWA_OK;
    return AWA_OK;
}

static void
note_vitals(struct conn *c, const awa_error *err)
{
    if (vitals_note(&c->vitals, err, clock_ms()) && c->sick.status == AWA_OK)
        (void)awa__fail(&c->sick, AWA_ECONN, "replacing it after %d failures: %s",
                        c->vitals.failures, err->message);
}

/* Takes the oldest statement off the ring and hands over its answer. */
static void
hand_over(struct conn *c, const awa_error *lost)
{
    struct pending p = c->ring[c->head % CONN_PENDING_MAX];
    awa_error err = { 0 };
    ExecStatusType status = PQresultStatus(p.res);

    c->ring[c->head % CONN_PENDING_MAX].res = NULL;
    c->head++;
    c->sent_at = clock_ms();
    if (lost != NULL) {
        PQclear(TAKE(p.res));
        p.done(c->arg, p.tag, &p.res, lost);
    } else if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) {
        note_vitals(c, NULL);
        p.done(c->arg, p.tag, &p.res, NULL);
    } else {
        (void)awa__fail_pg(&err, c->pg, p.res, p.sql->name);
        note_vitals(c, &err);
        PQclear(TAKE(p.res));
        p.done(c->arg, p.tag, &p.res, &err);
    }
    PQclear(p.res);
}

void
conn_close(struct conn *c)
{
    awa_error lost;

    if (c->pg == NULL)
        return;
    (void)awa__fail(&lost, AWA_ECONN, "the session is gone");
    PQfinish(TAKE(c->pg));
    while (conn_pending(c) > 0)
        hand_over(c, &lost);
}

static bool
send_statement(struct conn *c, const struct awa__sql *sql, const char *const *params, bool binary)
{
    int sent =
        c->pooled
            ? PQsendQueryParams(c->pg, sql->text, sql->nparams, NULL, params, NULL, NULL, binary)
            : PQsendQueryPrepared(c->pg, sql->name, sql->nparams, params, NULL, NULL, binary);

    return sent && PQpipelineSync(c->pg);
}

awa_status
conn_submit(struct conn *c, const struct awa__sql *sql, const char *const *params, bool binary,
            on_answer *done, void *tag, awa_error *err)
{
    if (c->pg == NULL)
        return awa__fail(err, AWA_ECONN, "%s: the session is gone", sql->name);
    if (conn_pending(c) == CONN_PENDING_MAX)
        return awa__fail(err, AWA_EBUSY, "%s: %d statements wait already", sql->name,
                         CONN_PENDING_MAX);
    if (!send_statement(c, sql, params, binary))
        return awa__fail_pg(err, c->pg, NULL, sql->name); /* the owner closes the session */

    if (conn_pending(c) == 0)
        c->sent_at = clock_ms();
    c->ring[c->tail++ % CONN_PENDING_MAX] =
        (struct pending){ .sql = sql, .done = done, .tag = tag };
    c->queries++;
    c->want_write = PQflush(c->pg) != 0;
    return AWA_OK;
}

short
conn_events(const struct conn *c)
{
    return POLLIN | (c->want_write ? POLLOUT : 0);
}

/*
 * Takes what PQgetResult() gave: a result of the oldest statement, NULL at its end, or its sync. If
 * libpq has no memory for a sync, it gives an error in its place. Then an answer is missing, and to
 * go on would match every later answer to the wrong statement.
 */
static awa_status
take(struct conn *c, PGresult *res, awa_error *err)
{
    struct pending *oldest = &c->ring[c->head % CONN_PENDING_MAX];

    if (res == NULL) {
        c->over = true;
        return PQstatus(c->pg) == CONNECTION_OK ? AWA_OK
                                                : awa__fail_pg(err, c->pg, NULL, "receive");
    }
    if (PQresultStatus(res) == PGRES_PIPELINE_SYNC) {
        PQclear(res);
        c->over = false;
        hand_over(c, NULL);
        return AWA_OK;
    }
    if (c->over) {
        PQclear(res);
        return awa__fail(err, AWA_ECONN, "receive: an answer is missing");
    }
    PQclear(oldest->res); /* NULL, unless the session broke */
    oldest->res = res;
    return AWA_OK;
}

awa_status
conn_dispatch(struct conn *c, short revents, awa_error *err)
{
    awa_status s = AWA_OK;

    if ((revents & (POLLIN | POLLHUP | POLLERR)) != 0 && !PQconsumeInput(c->pg))
        return awa__fail_pg(err, c->pg, NULL, "receive");

    while (s == AWA_OK && conn_pending(c) > 0 && !PQisBusy(c->pg))
        s = take(c, PQgetResult(c->pg), err);
    if (s != AWA_OK)
        return s;
    for (PGnotify *n; (n = PQnotifies(c->pg)) != NULL; PQfreemem(n))
        if (c->notify != NULL)
            c->notify(c->arg, n->relname, n->extra);

    if (c->want_write || conn_pending(c) > 0)
        c->want_write = PQflush(c->pg) != 0;
    if (PQstatus(c->pg) != CONNECTION_OK)
        return awa__fail_pg(err, c->pg, NULL, "receive");
    if (conn_pending(c) > 0 && clock_ms() - c->sent_at > AWA__ANSWER_MS)
        return awa__fail(err, AWA_ECONN, "no answer for %d s", AWA__ANSWER_MS / 1000);
    if (c->sick.status != AWA_OK && conn_pending(c) == 0)
        return awa__fail(err, c->sick.status, "%s", c->sick.message);
    return AWA_OK;
}
