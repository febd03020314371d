/* SPDX-License-Identifier: MIT */
/* See transaction.h. */
#include "worker/transaction.h"

#include <string.h>

#include "statements_worker.h"

/* A session that was idle since the last job may have died: then there is a new one. */
static awa_status
begin(struct handler *h, awa_error *err)
{
    awa_status s;

    if (h->session != NULL && awa__sql_say(h->session, "transaction", "BEGIN", NULL) != AWA_OK)
        PQfinish(TAKE(h->session));
    if (h->session != NULL)
        return AWA_OK;
    s = awa_connect(h->worker->conninfo, &h->session, err);
    return s == AWA_OK ? awa__sql_say(h->session, "transaction", "BEGIN", err) : s;
}

awa_status
awa_job_transaction(awa_job *job, PGconn **ret_conn, awa_error *reterr)
{
    awa_status s;

    if (ret_conn == NULL)
        return awa__fail(reterr, AWA_EINVAL, "transaction: nowhere to put the session");
    if (job->session != NULL) {
        *ret_conn = job->session;
        return AWA_OK;
    }
    s = begin(job->handler, reterr);
    if (s != AWA_OK)
        return s;
    job->session = job->handler->session;
    *ret_conn = job->session;
    return AWA_OK;
}

static awa_status
complete_and_commit(struct awa_job *job, awa_error *err)
{
    char worker[24], claim[24], pos[24];
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s;

    snprintf(worker, sizeof worker, "%lld", (long long)job->batch->identity->id);
    snprintf(claim, sizeof claim, "%lld", (long long)job->batch->claim_id);
    snprintf(pos, sizeof pos, "%lld", (long long)job->pos);
    s = awa__sql_ask(job->session, SQL_JOB_COMPLETE,
                     (const char *[]){ worker, claim, pos, job->output }, &res, err);
    if (s == AWA_OK)
        s = awa__sql_say(job->session, "commit", "COMMIT", err);
    return s;
}

static void
rollback(PGconn *session)
{
    if (PQtransactionStatus(session) != PQTRANS_IDLE) /* the server would warn */
        awa__ignore(awa__sql_say(session, "rollback", "ROLLBACK", NULL));
}

void
transaction_end(struct awa_job *job)
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
    if (s == AWA_ESTALE) {
        job->end = END_STALE;
    } else {
        job->end = END_RETRIED;
        awa__ignore(awa_job_set_error(job, err.message));
    }
}
