/* SPDX-License-Identifier: MIT */
/*
 * Inserts a batch of lines. Postgres reads them (jobs_read.sql); their jobs go by COPY, or by
 * awa.insert_jobs() if one of them needs more than COPY can do. A bad line must not harm the
 * others: if reading fails, each half is read again; if COPY fails, awa.insert_jobs() answers for
 * each job.
 */
#include <string.h>

#include "cli/job_input.h"
#include "statements_cli.h"
#include "statements_lib.h"

awa_status
input_refuse(struct input *in, int64_t number, const char *what, awa_error *err)
{
    awa_error line;

    (void)awa__fail(&line, AWA_EINVAL, "line %lld: %s", (long long)number, what);
    in->report->bad++;
    if (in->strict) {
        *err = line;
        return AWA_EINVAL;
    }
    bar_clear(&in->bar);
    log_line(line.message);
    return AWA_OK;
}

/* ---- Insert ------------------------------------------------------------------------------ */

static const char *
value(const PGresult *rows, size_t row, enum column column)
{
    return PQgetisnull(rows, (int)row, column) ? NULL : PQgetvalue(rows, (int)row, column);
}

static int64_t
number_of(const char *text)
{
    return text != NULL ? strtoll(text, NULL, 10) : 0;
}

/* Some of the rows that jobs_read.sql returned. */
struct pick {
    const PGresult *rows;
    const int64_t *numbers; /* line of each row */
    size_t *at;             /* n row numbers */
    size_t n;
};

static awa_status
send_picked(PGconn *conn, const struct pick *pick, PGresult **ret_res, awa_error *err)
{
    struct buffer columns[COLUMNS] = { 0 }; /* the first one is not used */
    const char *params[COLUMNS];
    bool failed = false;
    awa_status s;

    for (int c = KIND; c < COLUMNS; c++) {
        buffer_array_begin(&columns[c]);
        for (size_t i = 0; i < pick->n; i++)
            buffer_array_text(&columns[c], value(pick->rows, pick->at[i], c));
        buffer_array_end(&columns[c]);
        failed |= columns[c].failed;
        params[c - 1] = columns[c].data;
    }
    params[COLUMNS - 1] = "f"; /* not strict: bad jobs are passed over, and the answer names them */
    s = failed ? awa__fail(err, AWA_ENOMEM, "insert: out of memory")
               : awa__query(conn, SQL_JOBS_INSERT, params, ret_res, err);
    for (int c = KIND; c < COLUMNS; c++)
        buffer_done(&columns[c]);
    return s;
}

static awa_status
note_duplicate(struct input *in, const struct pick *pick, size_t i, awa_error *err)
{
    in->report->duplicates++;
    if (!in->strict || in->skip_duplicates)
        return AWA_OK;
    return awa__fail(err, AWA_EEXISTS, "line %lld: a live job holds the unique key %s",
                     (long long)pick->numbers[pick->at[i]],
                     value(pick->rows, pick->at[i], UNIQUE_KEY));
}

/* Inserts by awa.insert_jobs(), which answers for each job. */
static awa_status
insert_picked(struct input *in, const struct pick *pick, awa_error *err)
{
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s;

    s = send_picked(in->conn, pick, &res, err);
    for (size_t i = 0; s == AWA_OK && i < pick->n; i++) {
        if (!PQgetisnull(res, (int)i, 1))
            s = input_refuse(in, pick->numbers[pick->at[i]], PQgetvalue(res, (int)i, 1), err);
        else if (PQgetisnull(res, (int)i, 0))
            s = note_duplicate(in, pick, i, err);
        else
            in->report->inserted++;
    }
    return s;
}

static awa_status
copy_rows(struct input *in, const struct pick *pick, awa_error *err)
{
    AUTO(free) awa_job_options *jobs = calloc(pick->n, sizeof *jobs);

    if (jobs == NULL)
        return awa__fail(err, AWA_ENOMEM, "insert: out of memory");
    for (size_t i = 0; i < pick->n; i++)
        jobs[i] = (awa_job_options){
            .size = sizeof jobs[i],
            .kind = value(pick->rows, pick->at[i], KIND),
            .args_json = value(pick->rows, pick->at[i], ARGS),
            .queue = value(pick->rows, pick->at[i], QUEUE),
            .priority = number_of(value(pick->rows, pick->at[i], PRIORITY)),
            .max_attempts = number_of(value(pick->rows, pick->at[i], MAX_ATTEMPTS)),
            .ordering_key = value(pick->rows, pick->at[i], ORDERING_KEY),
        };
    return awa_jobs_copy(in->conn, jobs, pick->n, NULL, err);
}

/* With --strict all is one transaction, which a COPY that fails must not abort. */
static awa_status
savepoint(const struct input *in, const char *command, awa_error *err)
{
    return in->strict ? awa__exec(in->conn, "insert", command, err) : AWA_OK;
}

/*
 * Inserts by COPY. If that fails because of a job, or this login may not use it, awa.insert_jobs()
 * does it, and answers for each job.
 */
static awa_status
copy_picked(struct input *in, const struct pick *pick, awa_error *err)
{
    awa_status s;

    s = savepoint(in, "SAVEPOINT copy", err);
    if (s != AWA_OK)
        return s;
    s = copy_rows(in, pick, err);
    if (s == AWA_OK) {
        in->report->inserted += (int64_t)pick->n;
        return savepoint(in, "RELEASE SAVEPOINT copy", err);
    }
    if (s == AWA_ECONN || s == AWA_ENOMEM || strcmp(err->sqlstate, "57014") == 0) /* cancelled */
        return s;
    in->no_copy = strcmp(err->sqlstate, "42501") == 0;
    s = savepoint(in, "ROLLBACK TO SAVEPOINT copy", err);
    return s == AWA_OK ? insert_picked(in, pick, err) : s;
}

/* awa_jobs_copy() takes 0 for the default; awa.insert_jobs() refuses it, as it should. */
static bool
is_zero(const char *text)
{
    return text != NULL && strcmp(text, "0") == 0;
}

/* Whether a row needs awa.insert_jobs(). */
static bool
is_special(const PGresult *rows, size_t row)
{
    for (enum column c = RUN_AT; c <= UNIQUE_KEY; c++)
        if (value(rows, row, c) != NULL)
            return true;
    return value(rows, row, OPTIONS) != NULL || is_zero(value(rows, row, PRIORITY)) ||
           is_zero(value(rows, row, MAX_ATTEMPTS));
}

/*
 * Inserts the jobs of lines that were read: numbers[i] is the line of row i. All of them go the
 * same way, so that they keep their order.
 */
static awa_status
insert_rows(struct input *in, const PGresult *rows, const int64_t *numbers, awa_error *err)
{
    size_t n = (size_t)PQntuples(rows);
    AUTO(free) size_t *good = calloc(n, sizeof *good);
    struct pick pick = { .rows = rows, .numbers = numbers, .at = good };
    bool special = in->no_copy;
    awa_status s = AWA_OK;

    if (good == NULL)
        return awa__fail(err, AWA_ENOMEM, "insert: out of memory");
    for (size_t i = 0; i < n && s == AWA_OK; i++) {
        if (value(rows, i, PROBLEM) != NULL) {
            s = input_refuse(in, numbers[i], value(rows, i, PROBLEM), err);
            continue;
        }
        special |= is_special(rows, i);
        good[pick.n++] = i;
    }
    if (s != AWA_OK || pick.n == 0)
        return s;
    return special ? insert_picked(in, &pick, err) : copy_picked(in, &pick, err);
}

/* ---- Read -------------------------------------------------------------------------------- */

/* Lets Postgres read the lines [from, to) of the batch. */
static awa_status
read_lines(struct input *in, size_t from, size_t to, PGresult **ret_rows, awa_error *err)
{
    const char *params[DEFAULTS + 1];
    size_t begin = from > 0 ? in->ends[from - 1] + 1 : 0;
    size_t end = in->ends[to - 1];
    awa_status s;

    params[0] = in->text.data + begin;
    memcpy(params + 1, in->defaults, sizeof in->defaults);
    in->text.data[end] = '\0';
    s = awa__query(in->conn, SQL_JOBS_READ, params, ret_rows, err);
    in->text.data[end] = '\n';
    return s;
}

/* Whether an error is about the data, and not about the server, the session or the role. */
static bool
is_about_data(const awa_error *err)
{
    return err->status == AWA_EINVAL ||
           strncmp(err->sqlstate, "54", 2) == 0; /* 54...: too complex */
}

/* Reports a line that Postgres could not read, with what it said about it. */
static awa_status
refuse_read(struct input *in, size_t i, awa_error *err)
{
    const char *text = strstr(err->message, ": "); /* after the name of the statement */
    bool time = strcmp(err->sqlstate, "22007") == 0 || strcmp(err->sqlstate, "22008") == 0;
    awa_error what;

    if (strcmp(err->sqlstate, "54001") == 0)
        return input_refuse(in, in->numbers[i], "is nested too deeply", err);
    (void)awa__fail(&what, AWA_EINVAL, "%s%s", time ? "run_at: " : "",
                    text != NULL ? text + 2 : err->message);
    return input_refuse(in, in->numbers[i], what.message, err);
}

/*
 * Reads and inserts the lines [from, to). If they cannot be read at once, each half is done alone.
 */
static awa_status
insert_lines(struct input *in, size_t from, size_t to, awa_error *err)
{
    AUTO(pgresult) PGresult *rows = NULL;
    awa_status s = savepoint(in, "SAVEPOINT read", err);

    if (s == AWA_OK)
        s = read_lines(in, from, to, &rows, err);
    if (s == AWA_OK)
        s = savepoint(in, "RELEASE SAVEPOINT read", err);
    if (s == AWA_OK)
        return insert_rows(in, rows, in->numbers + from, err);
    if (!is_about_data(err))
        return s;
    if (to - from == 1)
        return refuse_read(in, from, err);
    s = savepoint(in, "ROLLBACK TO SAVEPOINT read", err);
    if (s == AWA_OK)
        s = insert_lines(in, from, from + (to - from) / 2, err);
    if (s == AWA_OK)
        s = insert_lines(in, from + (to - from) / 2, to, err);
    return s;
}

awa_status
batch_insert(struct input *in, awa_error *err)
{
    return in->n > 0 ? insert_lines(in, 0, in->n, err) : AWA_OK;
}
