/* SPDX-License-Identifier: MIT */
/* The functions of awa.h for operators: each calls one function of the engine. */
#include "pg/pg.h"

#include <inttypes.h>
#include <string.h>

#include "lib/options.h"
#include "statements_api.h"
#include "statements_lib.h"

/* Runs a statement that changes one job, and says false if there was nothing to change. */
static awa_status
change_job(PGconn *conn, const struct awa__sql *statement, int64_t id, const char *reason,
           const char *what, awa_error *err)
{
    char text[24];
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s;

    if (conn == NULL)
        return awa__fail(err, AWA_EINVAL, "%s: want a connection", what);
    snprintf(text, sizeof text, "%" PRId64, id);
    s = awa__query(conn, statement, (const char *[]){ text, reason }, &res, err);
    if (s != AWA_OK)
        return s;
    if (strcmp(PQgetvalue(res, 0, 0), "t") != 0)
        return awa__fail(err, AWA_ENOTFOUND,
                         "%s: job %" PRId64 " is not known, or in no state for it", what, id);
    return AWA_OK;
}

awa_status
awa_job_cancel(PGconn *conn, int64_t id, const char *reason, awa_error *reterr)
{
    return change_job(conn, SQL_JOB_CANCEL, id, reason, "cancel", reterr);
}

awa_status
awa_job_cancel_by_key(PGconn *conn, const char *unique_key, const char *reason, int64_t *ret_id,
                      awa_error *reterr)
{
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s;

    if (conn == NULL || unique_key == NULL)
        return awa__fail(reterr, AWA_EINVAL, "cancel: want a connection and a unique key");
    s = awa__query(conn, SQL_JOB_CANCEL_BY_KEY, (const char *[]){ unique_key, reason }, &res,
                   reterr);
    if (s == AWA_OK && PQgetisnull(res, 0, 0))
        return awa__fail(reterr, AWA_ENOTFOUND, "cancel: no live job holds the unique key %s",
                         unique_key);
    if (s == AWA_OK && ret_id != NULL)
        *ret_id = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
    return s;
}

awa_status
awa_job_retry(PGconn *conn, int64_t id, awa_error *reterr)
{
    return change_job(conn, SQL_JOB_RETRY, id, NULL, "retry", reterr);
}

awa_status
awa_job_delete(PGconn *conn, int64_t id, awa_error *reterr)
{
    return change_job(conn, SQL_JOB_DELETE, id, NULL, "delete", reterr);
}

awa_status
awa_dlq_move(PGconn *conn, int64_t id, const char *reason, awa_error *reterr)
{
    return change_job(conn, SQL_DLQ_MOVE, id, reason, "move", reterr);
}

static awa_status
change_queue(PGconn *conn, const struct awa__sql *statement, const char *queue, awa_error *err)
{
    AUTO(pgresult) PGresult *res = NULL;

    if (conn == NULL || queue == NULL)
        return awa__fail(err, AWA_EINVAL, "queue: want a connection and a name");
    return awa__query(conn, statement, (const char *[]){ queue, NULL }, &res, err);
}

awa_status
awa_queue_pause(PGconn *conn, const char *queue, awa_error *reterr)
{
    return change_queue(conn, SQL_QUEUE_PAUSE, queue, reterr);
}

awa_status
awa_queue_resume(PGconn *conn, const char *queue, awa_error *reterr)
{
    return change_queue(conn, SQL_QUEUE_RESUME, queue, reterr);
}

awa_status
awa_queue_drain(PGconn *conn, const char *queue, int64_t limit, int64_t *ret_n, awa_error *reterr)
{
    char max[24];
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s;

    if (conn == NULL || queue == NULL)
        return awa__fail(reterr, AWA_EINVAL, "drain: want a connection and a queue");
    if (limit < 1 || limit > 10000)
        return awa__fail(reterr, AWA_EINVAL, "drain: limit: want 1 to 10000, got %" PRId64, limit);
    snprintf(max, sizeof max, "%" PRId64, limit);
    s = awa__query(conn, SQL_QUEUE_DRAIN, (const char *[]){ queue, max }, &res, reterr);
    if (s == AWA_OK && ret_n != NULL)
        *ret_n = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
    return s;
}

awa_status
awa_queue_remove(PGconn *conn, const char *queue, awa_error *reterr)
{
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s;

    if (conn == NULL || queue == NULL)
        return awa__fail(reterr, AWA_EINVAL, "queue: want a connection and a name");
    s = awa__query(conn, SQL_QUEUE_REMOVE, &queue, &res, reterr);
    if (s == AWA_OK && strcmp(PQgetvalue(res, 0, 0), "t") != 0)
        return awa__fail(reterr, AWA_ENOTFOUND, "queue %s: not known", queue);
    return s;
}

/* ---- Storage ----------------------------------------------------------------------------- */

static awa_status
compare_counters(PGconn *conn, const char *check_only, int64_t *ret_n, awa_error *err)
{
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s;

    if (conn == NULL)
        return awa__fail(err, AWA_EINVAL, "counters: want a connection");
    s = awa__query(conn, SQL_COUNTERS_REBUILD_JSON, (const char *[]){ check_only }, &res, err);
    if (s == AWA_OK && ret_n != NULL)
        *ret_n = strtoll(PQgetvalue(res, 0, 1), NULL, 10);
    return s;
}

awa_status
awa_counters_check(PGconn *conn, int64_t *ret_wrong, awa_error *reterr)
{
    return compare_counters(conn, "t", ret_wrong, reterr);
}

awa_status
awa_counters_rebuild(PGconn *conn, int64_t *ret_corrected, awa_error *reterr)
{
    return compare_counters(conn, "f", ret_corrected, reterr);
}

awa_status
awa_storage_reset(PGconn *conn, const char *database, awa_error *reterr)
{
    AUTO(pgresult) PGresult *res = NULL;

    if (conn == NULL || database == NULL)
        return awa__fail(reterr, AWA_EINVAL, "reset: want a connection and a database's name");
    return awa__query(conn, SQL_STORAGE_RESET, (const char *[]){ database }, &res, reterr);
}

awa_status
awa_follow_rule_set(PGconn *conn, const awa_follow_rule *rule, awa_error *reterr)
{
    awa_follow_rule r;
    AUTO(pgresult) PGresult *res = NULL;

    if (conn == NULL || rule == NULL || !awa__options_read(&r, sizeof r, rule, rule->size))
        return awa__fail(reterr, AWA_EINVAL,
                         "rule: want a connection, and what AWA_FOLLOW_RULE() builds");
    return awa__query(conn, SQL_FOLLOW_RULE_SET,
                      (const char *[]){ r.name, r.on, r.job_json, r.queue, r.kind }, &res, reterr);
}

awa_status
awa_follow_rule_remove(PGconn *conn, const char *name, awa_error *reterr)
{
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s;

    if (conn == NULL || name == NULL)
        return awa__fail(reterr, AWA_EINVAL, "rule: want a connection and a name");
    s = awa__query(conn, SQL_FOLLOW_RULE_REMOVE, &name, &res, reterr);
    if (s == AWA_OK && strcmp(PQgetvalue(res, 0, 0), "t") != 0)
        return awa__fail(reterr, AWA_ENOTFOUND, "rule %s: not known", name);
    return s;
}
