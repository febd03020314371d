/* SPDX-License-Identifier: MIT */
/* See transaction.h. */
#include "worker/transaction.h"

#include <string.h>

#include "statements_worker.h"

/* ---- Sessions ---------------------------------------------------------------------------- */

/* A session that no attempt uses; NULL: there is none. */
static PGconn *
take_idle(struct awa_worker *w)
{
    PGconn *session = NULL;

    pthread_mutex_lock(&w->lock);
    if (w->nidle > 0)
        session = w->idle[--w->nidle];
    pthread_mutex_unlock(&w->lock);
    return session;
}

/* Keeps a session for later. There are never more than attempts have used at the same time. */
static void
keep_idle(struct awa_worker *w, PGconn *session)
{
    PGconn **idle;

    pthread_mutex_lock(&w->lock);
    idle = reallocarray(w->idle, w->nidle + 1, sizeof(PGconn *));
    if (idle != NULL) {
        w->idle = idle;
        w->idle[w->nidle++] = TAKE(session);
    }
    pthread_mutex_unlock(&w->lock);
    PQfinish(session);
}

void
transaction_close_idle(struct awa_worker *w)
{
    while (w->nidle > 0)
        PQfinish(w->idle[--w->nidle]);
    free(TAKE(w->idle));
}

/*
 * Begins a transaction. An idle session may have died: then the next one is tried, at last a new
 * one.
 */
static awa_status
begin(struct awa_worker *w, PGconn **ret_session, awa_error *err)
{
    AUTO(pgconn) PGconn *session = NULL;
    awa_status s;

    while ((session = take_idle(w)) != NULL) {
        if (awa__exec_timed(session, "transaction", "BEGIN", NULL) == AWA_OK) {
            *ret_session = TAKE(session);
            return AWA_OK;
        }
        PQfinish(TAKE(session));
    }
    s = awa_connect(w->conninfo, &session, err);
    if (s == AWA_OK)
        s = awa__exec_timed(session, "transaction", "BEGIN", err);
    if (s == AWA_OK)
        *ret_session = TAKE(session);
    return s;
}

/* ---- The transaction --------------------------------------------------------------------- */

awa_status
awa_attempt_transaction(awa_attempt *job, PGconn **ret_conn, awa_error *reterr)
{
    awa_status s;

    if (ret_conn == NULL)
        return awa__fail(reterr, AWA_EINVAL, "transaction: nowhere to put the session");
    if (job->session != NULL) {
        *ret_conn = job->session;
        return AWA_OK;
    }
    s = begin(job->worker, &job->session, reterr);
    if (s == AWA_OK)
        *ret_conn = job->session;
    return s;
}

static awa_status
complete_and_commit(struct awa_attempt *job, awa_error *err)
{
    char worker[24], claim[24], pos[24];
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s;

    snprintf(worker, sizeof worker, "%lld", (long long)job->batch->identity->id);
    snprintf(claim, sizeof claim, "%lld", (long long)job->batch->claim_id);
    snprintf(pos, sizeof pos, "%lld", (long long)job->pos);
    s = awa__query_timed(job->session, SQL_JOB_COMPLETE,
                         (const char *[]){ worker, claim, pos, job->output, job->follow }, &res,
                         err);
    if (s == AWA_OK)
        s = awa__exec_timed(job->session, "commit", "COMMIT", err);
    return s;
}

static void
rollback(PGconn *session)
{
    if (PQtransactionStatus(session) != PQTRANS_IDLE) /* else the server would warn */
        awa__ignore(awa__exec_timed(session, "rollback", "ROLLBACK", NULL));
}

/* Ends the transaction and sets job->end. */
static void
conclude(struct awa_attempt *job)
{
    awa_error err;
    awa_status s = AWA_OK;

    if (job->end != END_COMPLETED) {
        rollback(job->session);
        return;
    }
    if (PQtransactionStatus(job->session) != PQTRANS_INTRANS)
        s = awa__fail(&err, AWA_EINVAL, "the handler's transaction failed, or was ended by it");
    else
        s = complete_and_commit(job, &err);
    if (s == AWA_OK) {
        job->end = END_IN_TRANSACTION;
        return;
    }
    rollback(job->session);
    free(TAKE(job->follow)); /* the next attempt asks anew */
    if (s == AWA_ESTALE) {
        job->end = END_STALE;
    } else {
        job->end = END_RETRIED;
        awa__ignore(awa_attempt_set_error(job, err.message));
    }
}

void
transaction_end(struct awa_attempt *job)
{
    conclude(job);
    keep_idle(job->worker, TAKE(job->session));
}
