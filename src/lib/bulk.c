/* SPDX-License-Identifier: MIT */
/*
 * Bulk calls: retry, move or delete many jobs that have ended. An option that a call does not take
 * is refused, never ignored: a call that ignores a filter would change all jobs.
 */
#include "pg/pg.h"

#include <inttypes.h>
#include <string.h>

#include "lib/options.h"
#include "statements_lib.h"

/* Which options a statement takes. */
enum {
    TAKES_FILTER = 1, /* kind, queue, tag, all, limit, before, dry_run */
    TAKES_REASON = 2,
    TAKES_TIMES = 4,  /* from_ms, to_ms */
    TAKES_TARGET = 8, /* run_at_ms, delay_ms, to_queue, to_priority */
};

/* The first option that is set although the statement does not take it; NULL: none. */
static const char *
surplus(const awa_bulk_options *o, int takes)
{
    const struct {
        const char *name;
        bool set;
        int needs;
    } options[] = {
        { "kind", o->kind != NULL, TAKES_FILTER },
        { "queue", o->queue != NULL, TAKES_FILTER },
        { "tag", o->tag != NULL, TAKES_FILTER },
        { "all", o->all != 0, TAKES_FILTER },
        { "limit", o->limit != 0, TAKES_FILTER },
        { "before", o->before != 0, TAKES_FILTER },
        { "dry_run", o->dry_run != 0, TAKES_FILTER },
        { "reason", o->reason != NULL, TAKES_REASON },
        { "from_ms", o->from_ms != 0, TAKES_TIMES },
        { "to_ms", o->to_ms != 0, TAKES_TIMES },
        { "run_at_ms", o->run_at_ms != 0, TAKES_TARGET },
        { "delay_ms", o->delay_ms != 0, TAKES_TARGET },
        { "to_queue", o->to_queue != NULL, TAKES_TARGET },
        { "to_priority", o->to_priority != 0, TAKES_TARGET },
    };

    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        if (options[i].set && (takes & options[i].needs) == 0)
            return options[i].name;
    return NULL;
}

static awa_status
read_options(const awa_bulk_options *from, const char *what, int takes, awa_bulk_options *ret,
             awa_error *err)
{
    const char *name;

    if (!awa__options_read(ret, sizeof *ret, from, from != NULL ? from->size : 0))
        return awa__fail(err, AWA_EINVAL, "%s: build the options with AWA_BULK()", what);
    name = surplus(ret, takes);
    if (name != NULL)
        return awa__fail(err, AWA_EINVAL, "%s: %s: means nothing here", what, name);
    if (ret->run_at_ms != 0 && ret->delay_ms != 0)
        return awa__fail(err, AWA_EINVAL, "%s: run_at: excludes delay", what);
    return AWA_OK;
}

/* Reads ids that are joined by spaces. */
static void
read_sample(const char *text, awa_bulk_result *done)
{
    char *end;

    while (done->nsample < AWA_SAMPLE_MAX) {
        int64_t id = strtoll(text, &end, 10);

        if (end == text)
            return;
        done->sample[done->nsample++] = id;
        text = end;
    }
}

/* Fills in as much of the result as the caller's header knows. */
static void
give_result(const PGresult *res, awa_bulk_result *result)
{
    awa_bulk_result done = { .size = result->size < sizeof done ? result->size : sizeof done };

    done.matched = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
    done.changed = strtoll(PQgetvalue(res, 0, 1), NULL, 10);
    done.conflicts = strtoll(PQgetvalue(res, 0, 2), NULL, 10);
    done.next_before = strtoll(PQgetvalue(res, 0, 3), NULL, 10); /* 0 if it is NULL */
    read_sample(PQgetvalue(res, 0, 4), &done);
    memcpy(result, &done, done.size);
}

/* All statements have the same parameters in the same order; some have only the first of them. */
static awa_status
run(PGconn *conn, const struct awa__sql *statement, const awa_bulk_options *o, PGresult **ret_res,
    awa_error *err)
{
    char limit[24], before[24], from[24], to[24], run_at[24], delay[24], priority[24];
    const char *params[] = {
        o->kind,
        o->queue,
        o->tag,
        o->all != 0 ? "t" : "f",
        awa__number_param(limit, o->limit),
        awa__number_param(before, o->before),
        o->dry_run != 0 ? "t" : "f",
        o->reason,
        awa__number_param(from, o->from_ms),
        awa__number_param(to, o->to_ms),
        awa__number_param(run_at, o->run_at_ms),
        awa__number_param(delay, o->delay_ms),
        o->to_queue,
        awa__number_param(priority, o->to_priority),
    };

    return awa__query(conn, statement, params, ret_res, err);
}

static awa_status
bulk(PGconn *conn, const struct awa__sql *statement, int takes, const awa_bulk_options *options,
     awa_bulk_result *result, awa_error *err)
{
    const char *what = statement->name;
    AUTO(pgresult) PGresult *res = NULL;
    awa_bulk_options o;
    awa_status s;

    if (conn == NULL || options == NULL)
        return awa__fail(err, AWA_EINVAL, "%s: want a connection and options", what);
    if (result != NULL && result->size < sizeof result->size)
        return awa__fail(err, AWA_EINVAL, "%s: set the size of the result", what);
    s = read_options(options, what, TAKES_FILTER | takes, &o, err);
    if (s == AWA_OK)
        s = run(conn, statement, &o, &res, err);
    if (s == AWA_OK && result != NULL)
        give_result(res, result);
    return s;
}

awa_status
awa_failed_retry(PGconn *conn, const awa_bulk_options *options, awa_bulk_result *result,
                 awa_error *reterr)
{
    return bulk(conn, SQL_FAILED_RETRY, 0, options, result, reterr);
}

awa_status
awa_failed_discard(PGconn *conn, const awa_bulk_options *options, awa_bulk_result *result,
                   awa_error *reterr)
{
    return bulk(conn, SQL_FAILED_DISCARD, 0, options, result, reterr);
}

awa_status
awa_failed_move(PGconn *conn, const awa_bulk_options *options, awa_bulk_result *result,
                awa_error *reterr)
{
    return bulk(conn, SQL_FAILED_MOVE, TAKES_REASON, options, result, reterr);
}

awa_status
awa_dlq_jobs_retry(PGconn *conn, const awa_bulk_options *options, awa_bulk_result *result,
                   awa_error *reterr)
{
    return bulk(conn, SQL_DLQ_JOBS_RETRY, TAKES_REASON | TAKES_TIMES | TAKES_TARGET, options,
                result, reterr);
}

awa_status
awa_dlq_purge(PGconn *conn, const awa_bulk_options *options, awa_bulk_result *result,
              awa_error *reterr)
{
    return bulk(conn, SQL_DLQ_PURGE, TAKES_REASON | TAKES_TIMES, options, result, reterr);
}

/* ---- One dead letter --------------------------------------------------------------------- */

awa_status
awa_dlq_retry(PGconn *conn, int64_t id, const awa_bulk_options *options, awa_error *reterr)
{
    char text[24], run_at[24], delay[24], priority[24];
    AUTO(pgresult) PGresult *res = NULL;
    awa_bulk_options o;
    awa_status s;

    if (conn == NULL)
        return awa__fail(reterr, AWA_EINVAL, "dlq_retry: want a connection");
    s = read_options(options != NULL ? options : AWA_BULK(), "dlq_retry", TAKES_TARGET, &o, reterr);
    if (s != AWA_OK)
        return s;
    snprintf(text, sizeof text, "%" PRId64, id);
    const char *params[] = {
        text,
        awa__number_param(run_at, o.run_at_ms),
        awa__number_param(delay, o.delay_ms),
        o.to_queue,
        awa__number_param(priority, o.to_priority),
    };
    s = awa__query(conn, SQL_DLQ_RETRY, params, &res, reterr);
    if (s == AWA_OK && strcmp(PQgetvalue(res, 0, 0), "t") != 0)
        s = awa__fail(reterr, AWA_ENOTFOUND, "job %s: not in the dead-letter queue", text);
    return s;
}
