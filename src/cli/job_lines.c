/* SPDX-License-Identifier: MIT */
/* See job_lines.h. Collects lines into batches; job_batch.c inserts these. */
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "cli/job_input.h"
#include "cli/moment.h"
#include "cli/output.h"
#include "pg/interrupt.h"
#include "statements_cli.h"

/* ---- Gather ------------------------------------------------------------------------------ */

static awa_status
send_batch(struct input *in, awa_error *err)
{
    awa_status s = batch_insert(in, err);

    if (s == AWA_OK)
        in->report->done = in->lines.number;
    buffer_reset(&in->text);
    in->n = 0;
    bar_show(&in->bar, in->report->inserted, in->lines.bytes);
    return s;
}

static bool
is_blank(const char *line, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (strchr(" \t\r", line[i]) == NULL || line[i] == '\0')
            return false;
    return true;
}

/* Why a line cannot be sent to Postgres at all; NULL: it can. */
static const char *
problem_of(const char *line, size_t len)
{
    size_t width;

    if (memchr(line, '\0', len) != NULL)
        return "holds a NUL byte";
    for (size_t i = 0; i < len; i += width) {
        width = utf8_width(line + i, len - i);
        if (width == 0)
            return "is not valid UTF-8";
    }
    return NULL;
}

static awa_status
add_line(struct input *in, const char *line, size_t len, awa_error *err)
{
    const char *problem = problem_of(line, len);

    if (is_blank(line, len))
        return AWA_OK;
    in->report->lines++;
    if (problem != NULL)
        return input_refuse(in, in->lines.number, problem, err);
    buffer_add(&in->text, line, len);
    buffer_add(&in->text, "\n", 1);
    if (in->text.failed)
        return awa__fail(err, AWA_ENOMEM, "insert: out of memory");
    if (in->n == 0)
        in->since = clock_ms();
    in->numbers[in->n] = in->lines.number;
    in->ends[in->n++] = in->text.len - 1;
    if (in->n == BATCH_LINES || in->text.len >= BATCH_BYTES)
        return send_batch(in, err);
    return AWA_OK;
}

/* Inserts all lines, or those that were read before a signal; with --strict a signal undoes all. */
static awa_status
insert_all(struct input *in, awa_error *err)
{
    const char *line;
    size_t len;
    awa_status s = AWA_OK;

    while (s == AWA_OK) {
        int64_t until = in->n > 0 ? in->since + LINGER_MS : LINES_PATIENT;

        switch (lines_next(&in->lines, until, &line, &len)) {
        case LINES_ONE:
            s = add_line(in, line, len, err);
            break;
        case LINES_TOO_LONG:
            in->report->lines++;
            s = input_refuse(in, in->lines.number, "longer than 2 MiB", err);
            break;
        case LINES_LATER:
            s = send_batch(in, err);
            break;
        case LINES_STOPPED:
            return in->strict ? AWA_OK : send_batch(in, err);
        case LINES_END:
            return send_batch(in, err);
        case LINES_BROKEN:
            return awa__fail(err, AWA_ESYS, "insert: cannot read: %m");
        }
    }
    return s;
}

/* ---- All of it --------------------------------------------------------------------------- */

void
follow_list(const struct call *call, struct buffer *list)
{
    size_t next = 0;
    const char *one;

    while ((one = call_each(call, "follow", &next)) != NULL) {
        buffer_text(list, list->len == 0 ? "[" : ",");
        buffer_text(list, one);
    }
    if (list->len > 0)
        buffer_text(list, "]");
}

/* The options of a job that the call says; nothing if it says none. */
static void
read_options(struct input *in)
{
    int64_t max_run = call_number(in->call, "max-run");
    AUTO(buffer) struct buffer follow = { 0 };

    follow_list(in->call, &follow);
    if (max_run < 0 && follow.len == 0 && !follow.failed)
        return;
    buffer_text(&in->options, "{");
    if (max_run >= 0)
        buffer_format(&in->options, "\"max_run_ms\":%lld%s", (long long)max_run,
                      follow.len > 0 ? "," : "");
    if (follow.len > 0)
        buffer_format(&in->options, "\"follow\":%s", follow.data);
    buffer_text(&in->options, "}");
    in->options.failed |= follow.failed;
    in->defaults[OPTIONS - 1] = in->options.data;
}

static awa_status
read_defaults(struct input *in, awa_error *err)
{
    const struct call *call = in->call;
    size_t next = 0;
    const char *tag;
    int64_t delay = call_number(call, "delay");

    static const struct {
        enum column column;
        const char *option;
    } texts[] = {
        { KIND, "kind" },
        { ARGS, "args" },
        { QUEUE, "queue" },
        { PRIORITY, "priority" },
        { MAX_ATTEMPTS, "max-attempts" },
        { RUN_AT, "run-at" },
        { METADATA, "metadata" },
        { UNIQUE_KEY, "unique-key" },
        { ORDERING_KEY, "ordering-key" },
    };

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        in->defaults[texts[i].column - 1] = call_text(call, texts[i].option);
    if (delay >= 0) {
        snprintf(in->delay, sizeof in->delay, "%lld", (long long)delay);
        in->defaults[DELAY - 1] = in->delay;
    }
    read_options(in);
    if (in->options.failed)
        return awa__fail(err, AWA_ENOMEM, "insert: out of memory");
    while ((tag = call_each(call, "tag", &next)) != NULL) {
        if (in->tags.len == 0)
            buffer_array_begin(&in->tags);
        buffer_array_text(&in->tags, tag);
    }
    if (in->tags.len == 0)
        return AWA_OK;
    buffer_array_end(&in->tags);
    in->defaults[TAGS - 1] = in->tags.data;
    return in->tags.failed ? awa__fail(err, AWA_ENOMEM, "insert: out of memory") : AWA_OK;
}

/* Checks the defaults once, before any line: else every line would report a bad one. */
static awa_status
check_defaults(const struct input *in, awa_error *err)
{
    AUTO(pgresult) PGresult *res = NULL;
    const char *params[DEFAULTS + 1] = { "{}" };
    int64_t run_at_ms;
    awa_status s = moment_read(in->call, in->conn, "run-at", false, &run_at_ms, err);

    if (s != AWA_OK)
        return s;
    memcpy(params + 1, in->defaults, sizeof in->defaults);
    return awa__query(in->conn, SQL_JOBS_READ, params, &res, err);
}

static int64_t
file_size(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? st.st_size : 0;
}

/* --strict is one transaction. Its input may come slowly, so being idle has no timeout. */
static awa_status
insert_strictly(struct input *in, awa_error *err)
{
    awa_status s = awa__exec(in->conn, "insert",
                             "BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0", err);
    bool interrupted;

    if (s == AWA_OK)
        s = insert_all(in, err);
    interrupted = interrupt_signal() != 0;
    if (s == AWA_OK && !interrupted)
        s = awa__exec(in->conn, "insert", "COMMIT", err);
    else
        awa__ignore(awa__exec(in->conn, "insert", "ROLLBACK", NULL));
    if (s != AWA_OK || interrupted)
        in->report->inserted = in->report->duplicates = in->report->done = 0;
    return s;
}

static void
auto_input(struct input **in)
{
    if (*in == NULL)
        return;
    lines_done(&(*in)->lines);
    buffer_done(&(*in)->text);
    buffer_done(&(*in)->tags);
    buffer_done(&(*in)->options);
    free(*in);
}

awa_status
job_lines_insert(const struct call *call, PGconn *conn, int fd, struct lines_report *report,
                 awa_error *err)
{
    AUTO(input) struct input *in = calloc(1, sizeof *in);
    awa_status s;

    if (in == NULL)
        return awa__fail(err, AWA_ENOMEM, "insert: out of memory");
    in->call = call;
    in->conn = conn;
    in->report = report;
    in->strict = call_flag(call, "strict");
    in->skip_duplicates = call_flag(call, "skip-duplicates");
    s = lines_init(&in->lines, fd, err);
    if (s == AWA_OK)
        s = read_defaults(in, err);
    if (s == AWA_OK)
        s = check_defaults(in, err);
    if (s != AWA_OK)
        return s;
    bar_begin(&in->bar, call, file_size(fd));
    interrupt_catch(true);
    in->lines.stop = interrupt_fd();
    s = in->strict ? insert_strictly(in, err) : insert_all(in, err);
    report->interrupted = interrupt_signal() != 0;
    bar_clear(&in->bar);
    return s;
}
