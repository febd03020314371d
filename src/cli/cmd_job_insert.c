/* SPDX-License-Identifier: MIT */
/* awa job insert: one job from options, or many from JSON lines. */
#include <string.h>

#include "base/buffer.h"
#include "cli/commands.h"
#include "cli/job_lines.h"
#include "cli/moment.h"
#include "cli/output.h"
#include "cli/session.h"
#include "lib/options.h"
#include "statements_lib.h"

const struct option_spec job_insert_options[] = {
    { .name = "kind", .letter = 'k', .value = "KIND", .help = "what to do", .type = OPTION_TEXT },
    { .name = "args",
      .letter = 'a',
      .value = "JSON",
      .help = "with what: any JSON value; default: {}",
      .type = OPTION_TEXT },
    { .name = "queue", .value = "QUEUE", .help = "default: default", .type = OPTION_TEXT },
    { .name = "priority",
      .value = "N",
      .help = "1, most urgent, to 4; default: 2",
      .type = OPTION_NUMBER },
    { .name = "max-attempts",
      .value = "N",
      .help = "give up after so many; default: 25",
      .type = OPTION_NUMBER },
    { .name = "run-at",
      .value = "TIME",
      .help = "not before: 'tomorrow 06:00', '2030-01-31 09:00 Europe/Berlin'",
      .type = OPTION_TEXT },
    { .name = "delay", .value = "TIME", .help = "not before, from now", .type = OPTION_DURATION },
    { .name = "tag",
      .value = "TAG",
      .help = "to find it by; may be repeated",
      .type = OPTION_TEXT },
    { .name = "metadata",
      .value = "JSON",
      .help = "an object, handed to the handler",
      .type = OPTION_TEXT },
    { .name = "unique-key",
      .value = "KEY",
      .help = "refused while a live job holds the same key; exit code 5",
      .type = OPTION_TEXT },
    { .name = "ordering-key",
      .value = "KEY",
      .help = "jobs of one key are claimed in order; they may run at the same time",
      .type = OPTION_TEXT },
    { .name = "stdin", .help = "read jobs from standard input, as - does" },
    { .name = "strict", .help = "from standard input: all jobs or none" },
    { .name = "skip-duplicates", .help = "a live job that holds the unique key will do: no error" },
    { 0 },
};

/* ---- One --------------------------------------------------------------------------------- */

/* The tags as an array literal; NULL: none. */
static const char *
tags_of(const struct call *call, struct buffer *b)
{
    size_t next = 0;
    const char *tag = call_each(call, "tag", &next);

    if (tag == NULL)
        return NULL;
    buffer_array_begin(b);
    for (; tag != NULL; tag = call_each(call, "tag", &next))
        buffer_array_text(b, tag);
    buffer_array_end(b);
    return b->data;
}

static awa_status
insert_one(const struct call *call, PGconn *conn, PGresult **ret_res, awa_error *err)
{
    AUTO(buffer) struct buffer tags = { 0 };
    int64_t delay_ms = call_number(call, "delay"), run_at_ms;
    char delay[24], run_at[24];
    awa_status s = moment_read(call, conn, "run-at", false, &run_at_ms, err);

    if (s != AWA_OK)
        return s;
    snprintf(delay, sizeof delay, "%lld", (long long)delay_ms);
    const char *params[] = {
        call_text(call, "kind"),         call_text(call, "args"),
        call_text(call, "queue"),        call_text(call, "priority"),
        call_text(call, "max-attempts"), awa__options_number(run_at, run_at_ms),
        delay_ms >= 0 ? delay : NULL,    tags_of(call, &tags),
        call_text(call, "metadata"),     call_text(call, "unique-key"),
        call_text(call, "ordering-key"),
    };
    if (tags.failed)
        return awa__fail(err, AWA_ENOMEM, "insert: out of memory");
    return awa__sql_run(conn, SQL_JOB_INSERT, params, ret_res, err);
}

static int
run_one(const struct call *call, PGconn *conn)
{
    AUTO(pgresult) PGresult *res = NULL;
    awa_error err;
    awa_status s = insert_one(call, conn, &res, &err);

    if (s == AWA_OK && PQgetisnull(res, 0, 0) && call_flag(call, "skip-duplicates")) {
        if (call_flag(call, "json"))
            puts("{\"id\": null}");
        say(call, "insert: a live job holds the unique key; there is no new one");
        return EXIT_DONE;
    }
    if (s == AWA_OK && PQgetisnull(res, 0, 0))
        s = awa__fail(&err, AWA_EEXISTS, "insert: a live job holds the unique key %s",
                      call_text(call, "unique-key"));
    if (s != AWA_OK) {
        int code = report(&err);

        if (s == AWA_ECONN)
            say(call, "insert: no answer came; whether the job is in is not known");
        return code;
    }
    if (call_flag(call, "json"))
        printf("{\"id\": %s}\n", PQgetvalue(res, 0, 0));
    else
        puts(PQgetvalue(res, 0, 0));
    return EXIT_DONE;
}

/* ---- Many -------------------------------------------------------------------------------- */

/* Plain numbers, so in C. */
static void
print_report(const struct call *call, const struct lines_report *r)
{
    if (call_flag(call, "json"))
        printf("{\"lines\": %lld, \"inserted\": %lld, \"duplicates\": %lld, \"bad\": %lld}\n",
               (long long)r->lines, (long long)r->inserted, (long long)r->duplicates,
               (long long)r->bad);
    else
        say(call, "insert: %lld lines: %lld jobs inserted, %lld duplicates, %lld bad lines",
            (long long)r->lines, (long long)r->inserted, (long long)r->duplicates,
            (long long)r->bad);
}

static int
run_many(const struct call *call, PGconn *conn)
{
    struct lines_report r = { 0 };
    awa_error err;
    awa_status s = job_lines_insert(call, conn, STDIN_FILENO, &r, &err);
    int code = s == AWA_OK ? EXIT_DONE : report(&err);

    print_report(call, &r);
    if (s == AWA_ECONN)
        say(call, "insert: no answer came; whether the last lines are in is not known");
    if (r.interrupted)
        say(call, "insert: interrupted; go on behind line %lld", (long long)r.done);
    if (r.bad > 0)
        return EXIT_FAILED;
    return code == EXIT_DONE && r.duplicates > 0 && !call_flag(call, "skip-duplicates")
               ? EXIT_DUPLICATE
               : code;
}

int
cmd_job_insert(struct call *call)
{
    bool many = call_flag(call, "stdin") || call->nargs > 0;
    AUTO(pgconn) PGconn *conn = NULL;
    awa_error err;

    if (call->nargs > 0 && strcmp(call->args[0], "-") != 0)
        return usage_error("%s: unexpected '%s'; jobs come from options, or with - from "
                           "standard input",
                           call->words, call->args[0]);
    if (!many && call_text(call, "kind") == NULL)
        return usage_error("%s: wants --kind KIND, or - for standard input", call->words);
    if (!many && call_flag(call, "strict"))
        return usage_error("%s: --strict goes with standard input", call->words);
    if (session_open_engine(call, &conn, &err) != AWA_OK)
        return report(&err);
    return many ? run_many(call, conn) : run_one(call, conn);
}
