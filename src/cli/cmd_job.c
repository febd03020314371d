/* SPDX-License-Identifier: MIT */
/* awa job: look at jobs, and change them. */
#include <errno.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/glyph.h"
#include "cli/output.h"
#include "cli/query.h"
#include "cli/session.h"

static const struct query list_query = { SQL_JOBS_LIST, SQL_JOBS_LIST_JSON };
static const struct query get_query = { SQL_JOB_GET, SQL_JOB_GET_JSON };
static const struct query explain_query = { SQL_JOB_EXPLAIN, SQL_JOB_EXPLAIN_JSON };

/* ---- List -------------------------------------------------------------------------------- */

static int
cmd_job_list(struct call *call)
{
    const char *params[] = {
        call_text(call, "state"), call_text(call, "kind"),   call_text(call, "queue"),
        call_text(call, "tag"),   call_text(call, "before"), call_text(call, "limit"),
    };
    AUTO(pgresult) PGresult *res = NULL;
    awa_error err;
    int n;

    if (query_run(call, list_query, params, &res, &err) != AWA_OK)
        return report(&err);
    query_print(call, res);
    n = PQntuples(res);
    if (!call_flag(call, "json") && n > 0 && n == call_number(call, "limit"))
        say(call, "job list: the next ones: --before %s", PQgetvalue(res, n - 1, 0));
    return EXIT_DONE;
}

/* ---- One job ----------------------------------------------------------------------------- */

/* An id is a number above 0. False: a usage error, which has been reported. */
static bool
check_id(const struct call *call, const char *text)
{
    char *end;
    long long id;

    errno = 0;
    id = strtoll(text, &end, 10);
    if (errno == 0 && id > 0 && *end == '\0' && *text >= '0' && *text <= '9')
        return true;
    usage_error("%s: '%s' is no id of a job", call->words, text);
    return false;
}

static int
not_found(const char *id)
{
    awa_error err;

    (void)awa__fail(&err, AWA_ENOTFOUND, "job %s: not known, or ended so long ago that it is gone",
                    id);
    return report(&err);
}

static int
cmd_job_show(struct call *call)
{
    AUTO(pgresult) PGresult *res = NULL;
    awa_error err;

    if (!check_id(call, call->args[0]))
        return EXIT_USAGE;
    if (query_run(call, get_query, (const char *[]){ call->args[0] }, &res, &err) != AWA_OK)
        return report(&err);
    if (PQntuples(res) == 0)
        return not_found(call->args[0]);
    if (call_flag(call, "json"))
        print_json(res);
    else
        print_record(call, res);
    return EXIT_DONE;
}

static void
print_finding(const PGresult *res, int row)
{
    text_print_line(stdout, PQgetvalue(res, row, 0));
    if (!PQgetisnull(res, row, 1))
        printf(" (since %s)", PQgetvalue(res, row, 1));
    putchar('\n');
    if (PQgetisnull(res, row, 2))
        return;
    fputs("    ", stdout);
    text_print_line(stdout, PQgetvalue(res, row, 2));
    putchar('\n');
}

static int
cmd_job_explain(struct call *call)
{
    AUTO(pgresult) PGresult *res = NULL;
    awa_error err;

    if (!check_id(call, call->args[0]))
        return EXIT_USAGE;
    if (query_run(call, explain_query, (const char *[]){ call->args[0] }, &res, &err) != AWA_OK)
        return report(&err);
    if (PQntuples(res) == 0 || PQgetisnull(res, 0, 0))
        return not_found(call->args[0]);
    if (call_flag(call, "json"))
        print_json(res);
    else
        for (int row = 0; row < PQntuples(res); row++)
            print_finding(res, row);
    return EXIT_DONE;
}

/* ---- Cancel, retry ----------------------------------------------------------------------- */

static awa_status
change(PGconn *conn, enum awa__sql_id statement, const char *id, const char *reason,
       const char *verb, awa_error *err)
{
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s = awa__sql_run(conn, statement, (const char *[]){ id, reason }, &res, err);

    if (s == AWA_OK && strcmp(PQgetvalue(res, 0, 0), "t") != 0)
        s = awa__fail(err, AWA_ENOTFOUND, "job %s: not known, or in no state to be %s", id, verb);
    return s;
}

/* Every job of the call; what goes wrong with one does not keep the others from it. */
static int
change_all(const struct call *call, enum awa__sql_id statement, const char *verb)
{
    AUTO(pgconn) PGconn *conn = NULL;
    int code = EXIT_DONE;
    awa_error err;
    awa_status s;

    for (int i = 0; i < call->nargs; i++)
        if (!check_id(call, call->args[i]))
            return EXIT_USAGE;
    if (session_open_engine(call, &conn, &err) != AWA_OK)
        return report(&err);
    for (int i = 0; i < call->nargs; i++) {
        s = change(conn, statement, call->args[i], call_text(call, "reason"), verb, &err);
        if (s == AWA_OK)
            say(call, "job %s: %s", call->args[i], verb);
        else
            code = report(&err);
        if (s == AWA_ECONN)
            break;
    }
    return code;
}

static int
cmd_job_cancel(struct call *call)
{
    return change_all(call, SQL_JOB_CANCEL, "cancelled");
}

static int
cmd_job_retry(struct call *call)
{
    return change_all(call, SQL_JOB_RETRY, "retried");
}

/* ---- The table --------------------------------------------------------------------------- */

static const struct option_spec list_options[] = {
    { .name = "state",
      .letter = 's',
      .value = "STATE",
      .help = "available, scheduled, running, retryable, failed, ...",
      .type = OPTION_TEXT },
    { .name = "kind", .letter = 'k', .value = "KIND", .help = "of this kind", .type = OPTION_TEXT },
    { .name = "queue", .value = "QUEUE", .help = "in this queue", .type = OPTION_TEXT },
    { .name = "tag", .value = "TAG", .help = "with this tag", .type = OPTION_TEXT },
    { .name = "before",
      .value = "ID",
      .help = "older than this job: the next page",
      .type = OPTION_NUMBER },
    { .name = "limit",
      .letter = 'n',
      .value = "N",
      .standard = "50",
      .help = "at most so many",
      .type = OPTION_NUMBER },
    { 0 },
};

static const struct option_spec cancel_options[] = {
    { .name = "reason", .value = "TEXT", .help = "kept with the job", .type = OPTION_TEXT },
    { 0 },
};

const struct command job_commands[] = {
    { .name = "insert",
      .summary = "add a job, or many from JSON lines",
      .args = "[-]",
      .max_args = 1,
      .options = job_insert_options,
      .notes = "From standard input comes one JSON object on each line, with the fields kind,\n"
               "args, queue, priority, max_attempts, run_at, delay (\"5m\") or delay_ms, tags,\n"
               "metadata, unique_key and ordering_key. Options say what a line leaves out.\n"
               "A bad line is reported and passed over; then the exit code is 1.",
      .examples = "awa job insert --kind mail --args '{\"to\": \"ann@example.org\"}'\n"
                  "awa job insert --kind report --run-at 'tomorrow 06:00' --unique-key daily\n"
                  "awa job insert - --queue bulk <jobs.jsonl",
      .run = cmd_job_insert },
    { .name = "list",
      .summary = "jobs, newest first",
      .options = list_options,
      .examples = "awa job list --state failed --queue mail\n"
                  "awa job list --json --limit 1000 | jq '.[].id'",
      .run = cmd_job_list },
    { .name = "show",
      .summary = "everything about a job",
      .args = "ID",
      .min_args = 1,
      .max_args = 1,
      .examples = "awa job show 42",
      .run = cmd_job_show },
    { .name = "explain",
      .summary = "why a job does not run, or where it is now",
      .args = "ID",
      .min_args = 1,
      .max_args = 1,
      .examples = "awa job explain 42",
      .run = cmd_job_explain },
    { .name = "cancel",
      .summary = "cancel jobs in any live state",
      .args = "ID...",
      .min_args = 1,
      .max_args = -1,
      .options = cancel_options,
      .examples = "awa job cancel 42 43 --reason 'sent by hand'",
      .run = cmd_job_cancel },
    { .name = "retry",
      .summary = "run failed or cancelled jobs again; make waiting ones due",
      .args = "ID...",
      .min_args = 1,
      .max_args = -1,
      .examples = "awa job retry 42",
      .run = cmd_job_retry },
    { 0 },
};
