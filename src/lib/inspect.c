/* SPDX-License-Identifier: MIT */
/* The functions of awa.h that read. Each returns one JSON text, made by Postgres. */
#include "pg/pg.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "lib/options.h"
#include "statements_api.h"

/* Between two questions whether a job has ended. */
enum { WAIT_FIRST_MS = 5, WAIT_LAST_MS = 500 };

#define FORGOTTEN "not known, or ended so long ago that it is gone"

/* ---- Answers ----------------------------------------------------------------------------- */

/* Copies a column of the only row; NULL if the column is NULL, or there is no row. */
static awa_status
copy_column(const PGresult *res, int column, char **ret_text, awa_error *err)
{
    *ret_text = NULL;
    if (PQntuples(res) == 0 || PQgetisnull(res, 0, column))
        return AWA_OK;
    *ret_text = strdup(PQgetvalue(res, 0, column));
    return *ret_text != NULL ? AWA_OK : awa__fail(err, AWA_ENOMEM, "out of memory");
}

/*
 * Gives the JSON in column 0, NULL if there is none; and the whole result, unless ret_res is NULL.
 */
static awa_status
ask(PGconn *conn, const struct awa__sql *sql, const char *const *params, char **ret_json,
    PGresult **ret_res, awa_error *err)
{
    AUTO(pgresult) PGresult *res = NULL;
    AUTO(free) char *json = NULL;
    awa_status s;

    if (conn == NULL || ret_json == NULL)
        return awa__fail(err, AWA_EINVAL, "%s: want a connection, and a place for the text",
                         sql->name);
    s = awa__query(conn, sql, params, &res, err);
    if (s == AWA_OK)
        s = copy_column(res, 0, &json, err);
    if (s != AWA_OK)
        return s;
    *ret_json = TAKE(json);
    if (ret_res != NULL)
        *ret_res = TAKE(res);
    return AWA_OK;
}

/* ---- Jobs -------------------------------------------------------------------------------- */

static awa_status
ask_job(PGconn *conn, const struct awa__sql *sql, int64_t id, char **ret_json, awa_error *err)
{
    char text[24];
    char *json;
    awa_status s;

    snprintf(text, sizeof text, "%" PRId64, id);
    s = ask(conn, sql, (const char *[]){ text }, ret_json == NULL ? NULL : &json, NULL, err);
    if (s != AWA_OK)
        return s;
    if (json == NULL)
        return awa__fail(err, AWA_ENOTFOUND, "job %s: " FORGOTTEN, text);
    *ret_json = json;
    return AWA_OK;
}

awa_status
awa_job_get(PGconn *conn, int64_t id, char **ret_json, awa_error *reterr)
{
    return ask_job(conn, SQL_JOB_GET_JSON, id, ret_json, reterr);
}

/* Asks once. *ret_json is NULL if the job has not ended. */
static awa_status
ask_whether_ended(PGconn *conn, int64_t id, char **ret_json, int *ret_completed, awa_error *err)
{
    char text[24];
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s;

    snprintf(text, sizeof text, "%" PRId64, id);
    s = ask(conn, SQL_JOB_ENDED_JSON, (const char *[]){ text }, ret_json, &res, err);
    if (s == AWA_OK && PQntuples(res) == 0)
        s = awa__fail(err, AWA_ENOTFOUND, "job %s: " FORGOTTEN, text);
    if (s == AWA_OK)
        *ret_completed = *ret_json != NULL && strcmp(PQgetvalue(res, 0, 1), "t") == 0;
    return s;
}

awa_status
awa_job_wait(PGconn *conn, int64_t id, int64_t timeout_ms, char **ret_json, int *ret_completed,
             awa_error *reterr)
{
    int64_t until = timeout_ms < 0 ? INT64_MAX : clock_ms() + timeout_ms, pause_ms = WAIT_FIRST_MS;
    int completed = 0;
    awa_status s;

    for (;;) {
        int64_t left = until - clock_ms(), ms = pause_ms < left ? pause_ms : left;

        s = ask_whether_ended(conn, id, ret_json, &completed, reterr);
        if (s != AWA_OK || *ret_json != NULL)
            break;
        if (left <= 0)
            return awa__fail(reterr, AWA_EBUSY, "job %" PRId64 ": has not ended in time", id);
        (void)nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL);
        pause_ms = pause_ms * 3 / 2 < WAIT_LAST_MS ? pause_ms * 3 / 2 : WAIT_LAST_MS;
    }
    if (s == AWA_OK && ret_completed != NULL)
        *ret_completed = completed;
    return s;
}

awa_status
awa_job_explain(PGconn *conn, int64_t id, char **ret_json, awa_error *reterr)
{
    return ask_job(conn, SQL_JOB_EXPLAIN_JSON, id, ret_json, reterr);
}

awa_status
awa_job_dump(PGconn *conn, int64_t id, char **ret_json, awa_error *reterr)
{
    return ask_job(conn, SQL_JOB_DUMP_JSON, id, ret_json, reterr);
}

/* ---- Lists ------------------------------------------------------------------------------- */

static awa_status
read_list(const awa_list_options *options, const char *what, awa_list_options *ret, awa_error *err)
{
    static const awa_list_options all = { .size = sizeof all };

    if (options == NULL)
        options = &all;
    if (!awa__options_read(ret, sizeof *ret, options, options->size))
        return awa__fail(err, AWA_EINVAL, "%s: build the options with AWA_LIST()", what);
    if (ret->limit == 0)
        ret->limit = 100;
    if (ret->limit < 1 || ret->limit > 10000)
        return awa__fail(err, AWA_EINVAL, "%s: limit: want 1 to 10000, got %" PRId64, what,
                         ret->limit);
    return AWA_OK;
}

/* For lists: column 0 has the JSON, column 1 the cursor of the next page. */
static awa_status
ask_page(PGconn *conn, const struct awa__sql *sql, const char *const *params, char **ret_json,
         char **ret_next, awa_error *err)
{
    AUTO(pgresult) PGresult *res = NULL;
    AUTO(free) char *json = NULL;
    awa_status s = ask(conn, sql, params, ret_json == NULL ? NULL : &json, &res, err);

    if (s == AWA_OK && ret_next != NULL)
        s = copy_column(res, 1, ret_next, err);
    if (s == AWA_OK)
        *ret_json = TAKE(json);
    return s;
}

static bool
is_digits(const char *text, size_t len)
{
    return len > 0 && len < 19 && strspn(text, "0123456789") >= len;
}

awa_status
awa_jobs_list(PGconn *conn, const awa_list_options *options, char **ret_json, char **ret_next,
              awa_error *reterr)
{
    char limit[24];
    awa_list_options o;
    awa_status s = read_list(options, "list", &o, reterr);

    if (s != AWA_OK)
        return s;
    if (o.reason != NULL || o.from_ms != 0 || o.to_ms != 0)
        return awa__fail(reterr, AWA_EINVAL, "list: reason, from and to are for dead letters");
    if (o.before != NULL && !is_digits(o.before, strlen(o.before)))
        return awa__fail(reterr, AWA_EINVAL, "list: before: '%s' is no cursor of a list", o.before);
    const char *params[] = {
        o.state, o.kind, o.queue, o.tag, o.before, awa__number_param(limit, o.limit),
    };
    return ask_page(conn, SQL_JOBS_LIST_JSON, params, ret_json, ret_next, reterr);
}

/* A cursor of dead letters is "microseconds-id". */
static bool
is_dlq_cursor(const char *text)
{
    size_t first = strcspn(text, "-");

    return text[first] == '-' && is_digits(text, first) &&
           is_digits(text + first + 1, strlen(text + first + 1));
}

awa_status
awa_dlq_list(PGconn *conn, const awa_list_options *options, char **ret_json, char **ret_next,
             awa_error *reterr)
{
    char limit[24], from[24], to[24];
    awa_list_options o;
    awa_status s = read_list(options, "dlq list", &o, reterr);

    if (s != AWA_OK)
        return s;
    if (o.state != NULL)
        return awa__fail(reterr, AWA_EINVAL, "dlq list: state: dead letters have one only");
    if (o.before != NULL && !is_dlq_cursor(o.before))
        return awa__fail(reterr, AWA_EINVAL, "dlq list: before: '%s' is no cursor of a list",
                         o.before);
    const char *params[] = {
        o.kind,
        o.queue,
        o.tag,
        o.reason,
        awa__number_param(from, o.from_ms),
        awa__number_param(to, o.to_ms),
        o.before,
        awa__number_param(limit, o.limit),
    };
    return ask_page(conn, SQL_DLQ_LIST_JSON, params, ret_json, ret_next, reterr);
}

awa_status
awa_dlq_depth(PGconn *conn, const char *queue, char **ret_json, awa_error *reterr)
{
    return ask(conn, SQL_DLQ_DEPTH_JSON, &queue, ret_json, NULL, reterr);
}

/* ---- Queues and workers ------------------------------------------------------------------ */

/*
 * The answer is NULL for a queue that is not known: ENOTFOUND. No queues at all are an empty list.
 */
static awa_status
ask_queue(PGconn *conn, const struct awa__sql *sql, const char *queue, char **ret_json,
          awa_error *err)
{
    char *json;
    awa_status s = ask(conn, sql, &queue, ret_json == NULL ? NULL : &json, NULL, err);

    if (s != AWA_OK)
        return s;
    if (json == NULL && queue != NULL)
        return awa__fail(err, AWA_ENOTFOUND, "queue %s: not known", queue);
    if (json == NULL)
        json = strdup("[]");
    if (json == NULL)
        return awa__fail(err, AWA_ENOMEM, "%s: out of memory", sql->name);
    *ret_json = json;
    return AWA_OK;
}

awa_status
awa_queue_counts(PGconn *conn, const char *queue, char **ret_json, awa_error *reterr)
{
    return ask_queue(conn, SQL_QUEUE_COUNTS_JSON, queue, ret_json, reterr);
}

awa_status
awa_queue_gauges(PGconn *conn, const char *queue, char **ret_json, awa_error *reterr)
{
    return ask_queue(conn, SQL_QUEUE_COUNTS_FAST_JSON, queue, ret_json, reterr);
}

awa_status
awa_queues_list(PGconn *conn, char **ret_json, awa_error *reterr)
{
    return ask(conn, SQL_QUEUES_LIST_JSON, NULL, ret_json, NULL, reterr);
}

awa_status
awa_follow_rules_list(PGconn *conn, char **ret_json, awa_error *reterr)
{
    return ask(conn, SQL_FOLLOW_RULES_LIST_JSON, NULL, ret_json, NULL, reterr);
}

awa_status
awa_defaults_get(PGconn *conn, char **ret_json, awa_error *reterr)
{
    return ask(conn, SQL_DEFAULTS_LIST_JSON, NULL, ret_json, NULL, reterr);
}

awa_status
awa_workers_list(PGconn *conn, int ended, char **ret_json, awa_error *reterr)
{
    return ask(conn, SQL_WORKERS_LIST_JSON, (const char *[]){ ended != 0 ? "t" : "f" }, ret_json,
               NULL, reterr);
}

/* ---- The whole --------------------------------------------------------------------------- */

awa_status
awa_health(PGconn *conn, int *ret_well, char **ret_json, awa_error *reterr)
{
    AUTO(pgresult) PGresult *res = NULL;
    AUTO(free) char *json = NULL;
    awa_status s = ask(conn, SQL_HEALTH_CHECK_JSON, NULL, &json, &res, reterr);

    if (s != AWA_OK)
        return s;
    if (ret_well != NULL)
        *ret_well = strcmp(PQgetvalue(res, 0, 1), "t") == 0;
    if (ret_json != NULL)
        *ret_json = TAKE(json);
    return AWA_OK;
}

awa_status
awa_storage_status(PGconn *conn, char **ret_json, awa_error *reterr)
{
    return ask(conn, SQL_STORAGE_STATUS_JSON, NULL, ret_json, NULL, reterr);
}

awa_status
awa_server_time(PGconn *conn, int64_t *ret_ms, awa_error *reterr)
{
    AUTO(free) char *ms = NULL;
    awa_status s = ask(conn, SQL_TIME_NOW, NULL, &ms, NULL, reterr);

    if (s == AWA_OK && ret_ms != NULL)
        *ret_ms = strtoll(ms, NULL, 10);
    return s;
}
