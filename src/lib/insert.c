/* SPDX-License-Identifier: MIT */
/* Inserts jobs by SQL: one job, or many in one statement. */
#include "pg/pg.h"

#include <inttypes.h>
#include <string.h>

#include "base/buffer.h"
#include "base/utf8.h"
#include "lib/insert.h"
#include "lib/options.h"
#include "statements_lib.h"

awa_status
awa__session_check(const PGconn *conn, awa_error *err)
{
    int encoding = PQclientEncoding(conn); /* -1: the session is gone; the next call fails */
    const char *name = encoding >= 0 ? pg_encoding_to_char(encoding) : "UTF8";

    /* With SQL_ASCII nothing is converted, and the database holds UTF8: see awa_migrate(). */
    if (strcmp(name, "UTF8") == 0 || strcmp(name, "SQL_ASCII") == 0)
        return AWA_OK;
    return awa__fail(err, AWA_EINVAL, "insert: want client_encoding UTF8, the session has %s",
                     name);
}

/* Postgres would refuse invalid texts, too, but would not name the job and the field. */
awa_status
awa__job_check(const awa_job_options *job, size_t i, awa_error *err)
{
    const struct {
        const char *name, *text;
    } fields[] = {
        { "kind", job->kind },
        { "args", job->args_json },
        { "queue", job->queue },
        { "metadata", job->metadata_json },
        { "unique_key", job->unique_key },
        { "ordering_key", job->ordering_key },
        { "follow", job->follow_json },
    };

    for (size_t f = 0; f < sizeof fields / sizeof fields[0]; f++)
        if (fields[f].text != NULL && !utf8_is_valid(fields[f].text))
            return awa__fail(err, AWA_EINVAL, "job %zu: %s: is not valid UTF-8", i, fields[f].name);
    for (size_t t = 0; t < job->ntags; t++)
        if (job->tags == NULL || job->tags[t] == NULL || !utf8_is_valid(job->tags[t]))
            return awa__fail(err, AWA_EINVAL, "job %zu: tags: %zu is missing or not valid UTF-8", i,
                             t);
    return AWA_OK;
}

awa_status
awa__job_read(const awa_job_options *jobs, size_t i, awa_job_options *ret_job, awa_error *err)
{
    size_t stride = jobs[0].size;
    const char *at = (const char *)jobs + i * stride;
    awa_job_options job;

    if (!awa__options_read(&job, sizeof job, at, stride) || job.size != stride)
        return awa__fail(err, AWA_EINVAL, "job %zu: build the options with AWA_JOB()", i);
    if (job.kind == NULL)
        return awa__fail(err, AWA_EINVAL, "job %zu: kind: missing", i);
    *ret_job = job;
    return AWA_OK;
}

static const char *
text_array(struct buffer *b, const char *const *texts, size_t n)
{
    if (n == 0)
        return NULL;
    buffer_array_begin(b);
    for (size_t i = 0; i < n; i++)
        buffer_array_text(b, texts[i]);
    buffer_array_end(b);
    return b->data;
}

/* Adds a member to a JSON object that was begun; `json` is a value, or NULL: then there is none. */
static void
add_json(struct buffer *b, const char *name, const char *json)
{
    if (json != NULL)
        buffer_format(b, "%s\"%s\":%s", b->data[b->len - 1] == '{' ? "" : ",", name, json);
}

static void
add_number(struct buffer *b, const char *name, int64_t n)
{
    char text[24];

    add_json(b, name, awa__number_param(text, n));
}

static void
add_string(struct buffer *b, const char *name, const char *text)
{
    if (text == NULL)
        return;
    add_json(b, name, "");
    buffer_json_string(b, text);
}

static void
add_options(struct buffer *b, const awa_job_options *job)
{
    add_number(b, "max_run_ms", job->max_run_ms);
    add_json(b, "follow", job->follow_json);
}

/* The rare options of a job as JSON; NULL: it has none. */
static const char *
options_json(struct buffer *b, const awa_job_options *job)
{
    buffer_reset(b);
    if (!awa__has_options(job))
        return NULL;
    buffer_text(b, "{");
    add_options(b, job);
    buffer_text(b, "}");
    return b->data;
}

awa_status
awa__job_json(struct buffer *b, const awa_job_options *options, awa_error *err)
{
    awa_job_options job;
    awa_status s = awa__job_read(options, 0, &job, err);

    if (s == AWA_OK)
        s = awa__job_check(&job, 0, err);
    if (s == AWA_OK && job.run_at_ms != 0)
        s = awa__fail(err, AWA_EINVAL, "job: run_at_ms: want delay_ms");
    if (s != AWA_OK)
        return s;
    buffer_text(b, "{");
    add_string(b, "kind", job.kind);
    add_json(b, "args", job.args_json);
    add_string(b, "queue", job.queue);
    add_number(b, "priority", job.priority);
    add_number(b, "max_attempts", job.max_attempts);
    add_number(b, "delay_ms", job.delay_ms);
    add_json(b, "metadata", job.metadata_json);
    add_string(b, "unique_key", job.unique_key);
    add_string(b, "ordering_key", job.ordering_key);
    if (job.ntags > 0)
        add_json(b, "tags", "[");
    for (size_t i = 0; i < job.ntags; i++) {
        buffer_text(b, i > 0 ? "," : "");
        buffer_json_string(b, job.tags[i]);
    }
    buffer_text(b, job.ntags > 0 ? "]" : "");
    add_options(b, &job);
    buffer_text(b, "}");
    return AWA_OK;
}

awa_status
awa_job_insert(PGconn *conn, const awa_job_options *options, int64_t *ret_id, awa_error *reterr)
{
    awa_job_options job;
    char priority[24], max_attempts[24], run_at[24], delay[24];
    AUTO(buffer) struct buffer tags = { 0 };
    AUTO(buffer) struct buffer more = { 0 };
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s;

    if (conn == NULL || options == NULL)
        return awa__fail(reterr, AWA_EINVAL, "insert: want a connection and a job");
    s = awa__session_check(conn, reterr);
    if (s == AWA_OK)
        s = awa__job_read(options, 0, &job, reterr);
    if (s == AWA_OK)
        s = awa__job_check(&job, 0, reterr);
    if (s != AWA_OK)
        return s;

    const char *params[] = {
        job.kind,
        job.args_json,
        job.queue,
        awa__number_param(priority, job.priority),
        awa__number_param(max_attempts, job.max_attempts),
        awa__number_param(run_at, job.run_at_ms),
        awa__number_param(delay, job.delay_ms),
        text_array(&tags, job.tags, job.ntags),
        job.metadata_json,
        job.unique_key,
        job.ordering_key,
        options_json(&more, &job),
    };
    if (tags.failed || more.failed)
        return awa__fail(reterr, AWA_ENOMEM, "insert: out of memory");
    s = awa__query(conn, SQL_JOB_INSERT, params, &res, reterr);
    if (s != AWA_OK)
        return s;
    if (PQgetisnull(res, 0, 0))
        return awa__fail(reterr, AWA_EEXISTS, "insert: a live job holds the unique key %s",
                         job.unique_key);
    if (ret_id != NULL)
        *ret_id = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
    return AWA_OK;
}

enum column {
    KINDS,
    ARGS,
    QUEUES,
    PRIORITIES,
    MAX_ATTEMPTS,
    RUN_ATS,
    DELAYS,
    TAGS,
    METADATA,
    UNIQUE_KEYS,
    ORDERING_KEYS,
    OPTIONS,
    COLUMNS,
};

static void
add_int(struct buffer *b, int64_t v)
{
    if (v == 0)
        buffer_array_null(b);
    else
        buffer_array_int(b, v);
}

/*
 * Adds the tags as a JSON list: jobs have different numbers of tags, so no array would hold them.
 */
static void
add_tags(struct buffer *b, struct buffer *scratch, const awa_job_options *job)
{
    if (job->ntags == 0) {
        buffer_array_null(b);
        return;
    }
    buffer_reset(scratch);
    for (size_t i = 0; i < job->ntags; i++) {
        buffer_text(scratch, i == 0 ? "[" : ",");
        buffer_json_string(scratch, job->tags[i]);
    }
    buffer_text(scratch, "]");
    if (scratch->failed)
        b->failed = true;
    else
        buffer_array_text(b, scratch->data);
}

static void
add_job(struct buffer *columns, struct buffer *scratch, const awa_job_options *job)
{
    buffer_array_text(&columns[KINDS], job->kind);
    buffer_array_text(&columns[ARGS], job->args_json);
    buffer_array_text(&columns[QUEUES], job->queue);
    add_int(&columns[PRIORITIES], job->priority);
    add_int(&columns[MAX_ATTEMPTS], job->max_attempts);
    add_int(&columns[RUN_ATS], job->run_at_ms);
    add_int(&columns[DELAYS], job->delay_ms);
    add_tags(&columns[TAGS], scratch, job);
    buffer_array_text(&columns[METADATA], job->metadata_json);
    buffer_array_text(&columns[UNIQUE_KEYS], job->unique_key);
    buffer_array_text(&columns[ORDERING_KEYS], job->ordering_key);
    buffer_array_text(&columns[OPTIONS], options_json(scratch, job));
}

static awa_status
send_columns(PGconn *conn, struct buffer *columns, bool strict, PGresult **ret_res, awa_error *err)
{
    const char *params[COLUMNS + 1];

    for (int c = 0; c < COLUMNS; c++) {
        buffer_array_end(&columns[c]);
        if (columns[c].failed)
            return awa__fail(err, AWA_ENOMEM, "insert: out of memory");
        params[c] = columns[c].data;
    }
    params[COLUMNS] = strict ? "t" : "f";
    return awa__query(conn, SQL_JOBS_INSERT, params, ret_res, err);
}

awa_status
awa__jobs_insert(PGconn *conn, const awa_job_options *jobs, const size_t *picked, size_t n,
                 bool strict, PGresult **ret_res, awa_error *err)
{
    struct buffer columns[COLUMNS] = { 0 };
    AUTO(buffer) struct buffer scratch = { 0 };
    awa_status s = AWA_OK;

    for (int c = 0; c < COLUMNS; c++)
        buffer_array_begin(&columns[c]);
    for (size_t i = 0; i < n && s == AWA_OK; i++) {
        awa_job_options job;

        s = awa__job_read(jobs, picked != NULL ? picked[i] : i, &job, err);
        if (s == AWA_OK)
            s = awa__job_check(&job, i, err);
        if (s == AWA_OK)
            add_job(columns, &scratch, &job);
    }
    if (s == AWA_OK)
        s = send_columns(conn, columns, strict, ret_res, err);
    for (int c = 0; c < COLUMNS; c++)
        buffer_done(&columns[c]);
    return s;
}

awa_status
awa_jobs_insert(PGconn *conn, const awa_job_options *jobs, size_t n, int64_t *ret_ids,
                awa_error *reterr)
{
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s;

    if (conn == NULL || (jobs == NULL && n > 0))
        return awa__fail(reterr, AWA_EINVAL, "insert: want a connection and jobs");
    if (n == 0)
        return AWA_OK;
    s = awa__session_check(conn, reterr);
    if (s == AWA_OK)
        s = awa__jobs_insert(conn, jobs, NULL, n, true, &res, reterr);
    if (s != AWA_OK)
        return s;
    for (size_t i = 0; i < n && ret_ids != NULL; i++)
        ret_ids[i] =
            PQgetisnull(res, (int)i, 0) ? 0 : strtoll(PQgetvalue(res, (int)i, 0), NULL, 10);
    return AWA_OK;
}
