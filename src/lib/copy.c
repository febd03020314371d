/* SPDX-License-Identifier: MIT */
/*
 * The bulk door. awa.reserve_positions() hands out ids and positions; binary COPY writes the rows
 * into awa.ready_entries, in the same transaction (rule G1 of docs/engine.md). Jobs with run_at, a
 * delay, a unique key, tags, metadata or options go by insert.c. So does a batch of so many lanes
 * that COPY would gain nothing.
 */
#include "pg/pg.h"

#include <string.h>

#include "base/buffer.h"
#include "lib/options.h"
#include "lib/insert.h"
#include "statements_lib.h"

enum {
    SEND_BYTES = 64 * 1024, /* rows are given to libpq in pieces of this size */
    ARGS_MAX = 1024 * 1024, /* bytes; see check() */
    GROUP_MAX = 100000,     /* jobs of one reservation */
    FIELDS = 10,            /* columns named in entries_copy.sql */
    TEXT_OID = 25,
};

/* Consecutive jobs of the batch that go into one lane. */
struct group {
    size_t first, n; /* in struct batch.plain */
    int slot, max_attempts;
    int64_t id, pos, now_us;
};

struct batch {
    const awa_job_options *jobs;
    size_t *plain, nplain; /* indices of jobs for COPY */
    size_t *other, nother; /* and for insert.c */
    struct group *groups;
    size_t ngroups;
    bool own; /* the transaction is ours, not the caller's */
};

static void
auto_batch(struct batch *b)
{
    free(b->plain);
    free(b->other);
    free(b->groups);
}

static bool
same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool
same_lane(const awa_job_options *a, const awa_job_options *b)
{
    return a->priority == b->priority && same_text(a->queue, b->queue) &&
           same_text(a->ordering_key, b->ordering_key);
}

/*
 * Checks what neither a CHECK of the table nor the binary format checks. awa.job_problem() does not
 * see jobs that are copied.
 */
static awa_status
check(const awa_job_options *job, size_t i, awa_error *err)
{
    size_t args = job->args_json != NULL ? strlen(job->args_json) : 0;

    if (args > ARGS_MAX)
        return awa__fail(err, AWA_EINVAL, "job %zu: args: want at most %d bytes, got %zu", i,
                         ARGS_MAX, args);
    if (job->priority < 0 || job->priority > INT16_MAX)
        return awa__fail(err, AWA_EINVAL, "job %zu: priority: want 1 to 4, got %lld", i,
                         (long long)job->priority);
    if (job->max_attempts < 0 || job->max_attempts > INT16_MAX) /* two bytes, in COPY */
        return awa__fail(err, AWA_EINVAL, "job %zu: max_attempts: want 1 to 1000, got %lld", i,
                         (long long)job->max_attempts);
    return AWA_OK;
}

/* Sorts the jobs by door, and those for COPY into groups. */
static awa_status
plan(struct batch *b, size_t n, awa_error *err)
{
    awa_job_options job, last = { 0 };

    b->plain = calloc(n, sizeof *b->plain);
    b->other = calloc(n, sizeof *b->other);
    b->groups = calloc(n, sizeof *b->groups);
    if (b->plain == NULL || b->other == NULL || b->groups == NULL)
        return awa__fail(err, AWA_ENOMEM, "copy: out of memory");

    for (size_t i = 0; i < n; i++) {
        struct group *group = b->groups + b->ngroups - 1;
        awa_status s = awa__job_read(b->jobs, i, &job, err);

        if (s == AWA_OK)
            s = awa__job_check(&job, i, err);
        if (s == AWA_OK)
            s = check(&job, i, err);
        if (s != AWA_OK)
            return s;
        if (job.run_at_ms != 0 || job.delay_ms != 0 || job.unique_key != NULL || job.ntags != 0 ||
            job.metadata_json != NULL || awa__has_options(&job)) {
            b->other[b->nother++] = i;
            continue;
        }
        if (b->ngroups == 0 || group->n == GROUP_MAX || !same_lane(&job, &last)) {
            group = b->groups + b->ngroups++;
            group->first = b->nplain;
        }
        b->plain[b->nplain++] = i;
        group->n++;
        last = job;
    }
    return AWA_OK;
}

/* Reserves ids and positions for each group. Begins the batch's own transaction. */
static awa_status
reserve(PGconn *conn, struct batch *b, awa_error *err)
{
    struct buffer arrays[4] = { 0 };
    const char *params[4];
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s = AWA_OK;

    for (int a = 0; a < 4; a++)
        buffer_array_begin(&arrays[a]);
    for (size_t g = 0; g < b->ngroups && s == AWA_OK; g++) {
        awa_job_options job;

        s = awa__job_read(b->jobs, b->plain[b->groups[g].first], &job, err);
        if (s != AWA_OK)
            break;
        buffer_array_text(&arrays[0], job.queue);
        if (job.priority != 0)
            buffer_array_int(&arrays[1], job.priority);
        else
            buffer_array_null(&arrays[1]);
        buffer_array_text(&arrays[2], job.ordering_key);
        buffer_array_int(&arrays[3], (int64_t)b->groups[g].n);
    }
    for (int a = 0; a < 4; a++) {
        buffer_array_end(&arrays[a]);
        params[a] = arrays[a].data;
        if (arrays[a].failed && s == AWA_OK)
            s = awa__fail(err, AWA_ENOMEM, "copy: out of memory");
    }
    if (s == AWA_OK)
        s = (b->own ? awa__begin_query : awa__query)(conn, SQL_POSITIONS_RESERVE, params, &res,
                                                     err);
    for (int a = 0; a < 4; a++)
        buffer_done(&arrays[a]);
    if (s != AWA_OK)
        return s;

    for (size_t g = 0; g < b->ngroups; g++) {
        struct group *group = &b->groups[g];

        group->slot = (int)strtol(PQgetvalue(res, (int)g, 0), NULL, 10);
        group->id = strtoll(PQgetvalue(res, (int)g, 1), NULL, 10);
        group->pos = strtoll(PQgetvalue(res, (int)g, 2), NULL, 10);
        group->now_us = strtoll(PQgetvalue(res, (int)g, 3), NULL, 10);
        group->max_attempts = (int)strtol(PQgetvalue(res, (int)g, 4), NULL, 10);
    }
    return AWA_OK;
}

static void
add_text(struct buffer *b, const char *text)
{
    size_t len = strlen(text);

    buffer_int32(b, (int64_t)len);
    buffer_add(b, text, len);
}

static void
add_jsonb(struct buffer *b, const char *json)
{
    size_t len = strlen(json);

    buffer_int32(b, (int64_t)len + 1);
    buffer_add(b, "\1", 1); /* version 1 of the binary form: the text follows */
    buffer_add(b, json, len);
}

static void
add_int16(struct buffer *b, int64_t v)
{
    buffer_int32(b, 2);
    buffer_int16(b, (int)v);
}

static void
add_int64(struct buffer *b, int64_t v)
{
    buffer_int32(b, 8);
    buffer_int64(b, v);
}

/* Adds one row, with the columns in the order of entries_copy.sql. */
static void
add_row(struct buffer *b, const struct group *group, size_t k, const awa_job_options *job)
{
    buffer_int16(b, FIELDS);
    add_int64(b, group->pos + (int64_t)k);
    add_int64(b, group->id + (int64_t)k);
    add_int64(b, group->now_us);
    add_int16(b, group->slot);
    add_int16(b, 0);
    add_int16(b, job->max_attempts != 0 ? job->max_attempts : group->max_attempts);
    add_text(b, job->kind);
    add_jsonb(b, job->args_json != NULL ? job->args_json : "{}");
    buffer_int32(b, -1); /* tags */
    buffer_int32(b, -1); /* metadata */
}

static awa_status
flush(PGconn *conn, struct buffer *b, awa_error *err)
{
    awa_status s;

    if (b->failed)
        return awa__fail(err, AWA_ENOMEM, "copy: out of memory");
    s = awa__copy_put(conn, b->data, b->len, err);
    buffer_reset(b);
    return s;
}

/* Postgres names a line and a column of the COPY; the caller gets the job's index and the field. */
static awa_status
name_the_job(const struct batch *b, const struct awa__copy_error *at, awa_status s, awa_error *err)
{
    awa_error said;

    if (err == NULL || at->line == 0 || at->line > b->nplain)
        return s;
    said = *err;
    (void)awa__fail(err, s, "job %zu: %s: %s", b->plain[at->line - 1],
                    at->column[0] != '\0' ? at->column : at->constraint, said.message);
    memcpy(err->sqlstate, said.sqlstate, sizeof said.sqlstate);
    return s;
}

/* Sends the rows. Commits the batch's own transaction if no other jobs are to be inserted in it. */
static awa_status
send_rows(PGconn *conn, const struct batch *b, awa_error *err)
{
    static const char head[19] = "PGCOPY\n\377\r\n"; /* the rest: no flags, no extension */
    AUTO(buffer) struct buffer out = { 0 };
    struct awa__copy_error at = { 0 };
    awa_status s;

    s = awa__copy_begin(conn, SQL_ENTRIES_COPY, b->own && b->nother == 0, err);
    if (s != AWA_OK)
        return s;
    buffer_add(&out, head, sizeof head);
    for (size_t g = 0; g < b->ngroups && s == AWA_OK; g++) {
        for (size_t k = 0; k < b->groups[g].n && s == AWA_OK; k++) {
            awa_job_options job;

            s = awa__job_read(b->jobs, b->plain[b->groups[g].first + k], &job, err);
            if (s != AWA_OK)
                break;
            add_row(&out, &b->groups[g], k, &job);
            if (out.len >= SEND_BYTES)
                s = flush(conn, &out, err);
        }
    }
    buffer_int16(&out, -1);
    if (s == AWA_OK)
        s = flush(conn, &out, err);
    s = awa__copy_end(conn, SQL_ENTRIES_COPY, s, &at, err);
    return s == AWA_OK ? s : name_the_job(b, &at, s, err);
}

/* The server counts the jobs of its own call: "job 0: ..." becomes the caller's number of that job.
 */
static void
name_by_caller(const struct batch *b, awa_error *err)
{
    static const char word[] = "job ";
    awa_error said;
    char *at, *end;
    size_t i;

    if (err == NULL)
        return;
    said = *err;
    at = strstr(said.message, word);
    if (at == NULL)
        return;
    i = strtoul(at + strlen(word), &end, 10);
    if (end == at + strlen(word) || *end != ':' || i >= b->nother)
        return;
    snprintf(err->message, sizeof err->message, "%.*s%zu%s",
             (int)(at - said.message + strlen(word)), said.message, b->other[i], end);
}

static awa_status
insert_others(PGconn *conn, const struct batch *b, int64_t *ret_ids, awa_error *err)
{
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s;

    if (b->nother == 0)
        return AWA_OK;
    s = awa__jobs_insert(conn, b->jobs, b->other, b->nother, true, &res, err);
    if (s == AWA_EINVAL)
        name_by_caller(b, err);
    for (size_t i = 0; s == AWA_OK && ret_ids != NULL && i < b->nother; i++)
        ret_ids[b->other[i]] =
            PQgetisnull(res, (int)i, 0) ? 0 : strtoll(PQgetvalue(res, (int)i, 0), NULL, 10);
    return s;
}

static awa_status
copy_batch(PGconn *conn, struct batch *b, int64_t *ret_ids, awa_error *err)
{
    awa_status s = AWA_OK;

    if (b->nplain > 0) {
        s = reserve(conn, b, err);
        if (s == AWA_OK)
            s = send_rows(conn, b, err);
    }
    if (s == AWA_OK)
        s = insert_others(conn, b, ret_ids, err);
    if (s == AWA_OK && b->own && PQtransactionStatus(conn) != PQTRANS_IDLE)
        s = awa__exec(conn, "copy", "COMMIT", err);
    for (size_t g = 0; s == AWA_OK && ret_ids != NULL && g < b->ngroups; g++)
        for (size_t k = 0; k < b->groups[g].n; k++)
            ret_ids[b->plain[b->groups[g].first + k]] = b->groups[g].id + (int64_t)k;
    return s;
}

awa_status
awa_jobs_copy(PGconn *conn, const awa_job_options *jobs, size_t n, int64_t *ret_ids,
              awa_error *reterr)
{
    AUTO(batch) struct batch b = { .jobs = jobs };
    awa_status s;

    if (conn == NULL || (jobs == NULL && n > 0))
        return awa__fail(reterr, AWA_EINVAL, "copy: want a connection and jobs");
    if (n == 0)
        return AWA_OK;
    s = awa__session_check(conn, reterr);
    if (s == AWA_OK)
        s = plan(&b, n, reterr);
    if (s != AWA_OK)
        return s;
    if (b.ngroups > 16 && b.ngroups > n / 16)
        return awa_jobs_insert(conn, jobs, n, ret_ids, reterr);

    b.own = PQtransactionStatus(conn) == PQTRANS_IDLE;
    s = copy_batch(conn, &b, ret_ids, reterr);
    if (s != AWA_OK && b.own && PQtransactionStatus(conn) != PQTRANS_IDLE)
        awa__ignore(awa__exec(conn, "copy", "ROLLBACK", NULL));
    return s;
}
