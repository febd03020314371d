/* SPDX-License-Identifier: MIT */
/* awa job insert: one job from options, or many from JSON lines. */
#include <string.h>

#include "cli/commands.h"
#include "cli/job_lines.h"
#include "cli/job_wait.h"
#include "cli/moment.h"
#include "cli/output.h"
#include "cli/session.h"

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
      .type = OPTION_NUMBER,
      .positive = true },
    { .name = "max-attempts",
      .value = "N",
      .help = "give up after so many; default: 25",
      .type = OPTION_NUMBER,
      .positive = true },
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
    { .name = "max-run",
      .value = "TIME",
      .help = "how long an attempt may take; default: as the queue says",
      .type = OPTION_DURATION,
      .positive = true },
    { .name = "follow",
      .value = "JSON",
      .help = "a job that is inserted when this one ends; may be repeated",
      .type = OPTION_TEXT },
    { .name = "wait",
      .help = "wait until it has ended, and print its output; exit code 4: it failed" },
    { .name = "timeout",
      .value = "TIME",
      .help = "with --wait: wait no longer; exit code 1",
      .type = OPTION_DURATION },
    { .name = "stdin", .help = "read jobs from standard input, as - does" },
    { .name = "strict", .help = "from standard input: all jobs or none" },
    { .name = "skip-duplicates", .help = "a live job that holds the unique key will do: no error" },
    { 0 },
};

/* ---- One --------------------------------------------------------------------------------- */

enum { TAGS_MAX = 21 }; /* one more than a job may have, so that too many are refused */

/* The number of an option; 0 if it was not given. */
static int64_t
given(const struct call *call, const char *option)
{
    int64_t n = call_number(call, option);

    return n > 0 ? n : 0;
}

/* Collects the values of --tag. Returns how many they are. */
static size_t
tags_of(const struct call *call, const char *tags[TAGS_MAX])
{
    size_t next = 0, n = 0;
    const char *tag;

    while (n < TAGS_MAX && (tag = call_each(call, "tag", &next)) != NULL)
        tags[n++] = tag;
    return n;
}

static awa_status
insert_one(const struct call *call, PGconn *conn, int64_t *ret_id, awa_error *err)
{
    const char *tags[TAGS_MAX];
    AUTO(buffer) struct buffer follow = { 0 };
    int64_t run_at_ms;
    awa_status s = moment_read(call, conn, "run-at", false, &run_at_ms, err);

    if (s != AWA_OK)
        return s;
    follow_list(call, &follow);
    if (follow.failed)
        return awa__fail(err, AWA_ENOMEM, "insert: out of memory");
    if (run_at_ms != 0 && call_number(call, "delay") >= 0)
        return awa__fail(err, AWA_EINVAL, "run_at: excludes delay");
    return awa_job_insert(
        conn,
        AWA_JOB(.kind = call_text(call, "kind"), .args_json = call_text(call, "args"),
                .queue = call_text(call, "queue"), .priority = given(call, "priority"),
                .max_attempts = given(call, "max-attempts"), .run_at_ms = run_at_ms,
                .delay_ms = given(call, "delay"), .tags = tags, .ntags = tags_of(call, tags),
                .metadata_json = call_text(call, "metadata"),
                .unique_key = call_text(call, "unique-key"),
                .ordering_key = call_text(call, "ordering-key"),
                .max_run_ms = given(call, "max-run"), .follow_json = follow.data),
        ret_id, err);
}

static int
run_one(const struct call *call, PGconn *conn)
{
    int64_t id;
    awa_error err;
    awa_status s = insert_one(call, conn, &id, &err);

    if (s == AWA_EEXISTS && call_flag(call, "skip-duplicates")) {
        if (call_flag(call, "json"))
            puts("{\"id\": null}");
        say(call, "insert: a live job holds the unique key; there is no new one");
        return EXIT_DONE;
    }
    if (s != AWA_OK) {
        int code = report(&err);

        if (s == AWA_ECONN)
            say(call, "insert: no answer came; whether the job is in is not known");
        return code;
    }
    if (call_flag(call, "wait")) {
        say(call, "insert: waiting for job %lld", (long long)id);
        return job_wait(call, conn, id);
    }
    printf(call_flag(call, "json") ? "{\"id\": %lld}\n" : "%lld\n", (long long)id);
    return EXIT_DONE;
}

/* ---- Many -------------------------------------------------------------------------------- */

/* Other JSON comes from Postgres; this one has only numbers. */
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
    if (many && call_flag(call, "wait"))
        return usage_error("%s: --wait goes with a single job", call->words);
    if (call_flag(call, "wait") && call_flag(call, "skip-duplicates"))
        return usage_error("%s: --wait excludes --skip-duplicates", call->words);
    if (!call_flag(call, "wait") && call_number(call, "timeout") >= 0)
        return usage_error("%s: --timeout goes with --wait", call->words);
    if (!many && call_flag(call, "strict"))
        return usage_error("%s: --strict goes with standard input", call->words);
    if (session_open_engine(call, &conn, &err) != AWA_OK)
        return report(&err);
    return many ? run_many(call, conn) : run_one(call, conn);
}
