/* SPDX-License-Identifier: MIT */
/* awa job: look at jobs, and change them. */
#include <string.h>

#include "cli/bulk.h"
#include "cli/commands.h"
#include "cli/glyph.h"
#include "cli/ids.h"
#include "cli/job_wait.h"
#include "cli/output.h"
#include "cli/query.h"
#include "cli/session.h"
#include "statements_cli.h"

static const struct bulk_verb retry_verb = { .done = "retried",
                                             .run = awa_failed_retry,
                                             .pruned = true };
static const struct bulk_verb discard_verb = { .done = "discarded", .run = awa_failed_discard };

/* ---- List -------------------------------------------------------------------------------- */

static awa_status
list_json(PGconn *conn, const void *arg, char **ret_json, awa_error *err)
{
    const struct call *call = arg;

    return awa_jobs_list(
        conn,
        AWA_LIST(.state = call_text(call, "state"), .kind = call_text(call, "kind"),
                 .queue = call_text(call, "queue"), .tag = call_text(call, "tag"),
                 .before = call_text(call, "before"), .limit = call_number(call, "limit")),
        ret_json, NULL, err);
}

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

    if (call_flag(call, "json"))
        return query_json(call, list_json, call);
    if (query_run(call, SQL_JOBS_LIST, params, &res, &err) != AWA_OK)
        return report(&err);
    print_table(call, res);
    n = PQntuples(res);
    if (n > 0 && n == call_number(call, "limit"))
        say(call, "job list: the next ones: --before %s", PQgetvalue(res, n - 1, 0));
    return EXIT_DONE;
}

/* ---- One job ----------------------------------------------------------------------------- */

static int
not_found(const char *id)
{
    awa_error err;

    (void)awa__fail(&err, AWA_ENOTFOUND, "job %s: not known, or ended so long ago that it is gone",
                    id);
    return report(&err);
}

/* Reads the rows about the job that the call names, without --json. Returns an exit code. */
static int
ask(struct call *call, const struct awa__sql *table, PGresult **ret_res)
{
    awa_error err;

    if (query_run(call, table, (const char *[]){ call->args[0] }, ret_res, &err) != AWA_OK)
        return report(&err);
    if (PQntuples(*ret_res) == 0 || PQgetisnull(*ret_res, 0, 0))
        return not_found(call->args[0]);
    return EXIT_DONE;
}

/* Prints one job as a record, or as JSON. */
static int
show(struct call *call, const struct awa__sql *table, json_call *json)
{
    AUTO(pgresult) PGresult *res = NULL;
    int64_t id;
    int code;

    if (!id_read(call, call->args[0], &id))
        return EXIT_USAGE;
    if (call_flag(call, "json"))
        return query_json(call, json, &id);
    code = ask(call, table, &res);
    if (code == EXIT_DONE)
        print_record(call, res);
    return code;
}

static awa_status
get_json(PGconn *conn, const void *id, char **ret_json, awa_error *err)
{
    return awa_job_get(conn, *(const int64_t *)id, ret_json, err);
}

static int
cmd_job_show(struct call *call)
{
    return show(call, SQL_JOB_GET, get_json);
}

static awa_status
dump_json(PGconn *conn, const void *id, char **ret_json, awa_error *err)
{
    return awa_job_dump(conn, *(const int64_t *)id, ret_json, err);
}

static int
cmd_job_dump(struct call *call)
{
    return show(call, SQL_JOB_DUMP, dump_json);
}

static int
cmd_job_wait(struct call *call)
{
    AUTO(pgconn) PGconn *conn = NULL;
    int64_t id;
    awa_error err;

    if (!id_read(call, call->args[0], &id))
        return EXIT_USAGE;
    if (session_open_engine(call, &conn, &err) != AWA_OK)
        return report(&err);
    return job_wait(call, conn, id);
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

static awa_status
explain_json(PGconn *conn, const void *id, char **ret_json, awa_error *err)
{
    return awa_job_explain(conn, *(const int64_t *)id, ret_json, err);
}

static int
cmd_job_explain(struct call *call)
{
    AUTO(pgresult) PGresult *res = NULL;
    int64_t id;
    int code;

    if (!id_read(call, call->args[0], &id))
        return EXIT_USAGE;
    if (call_flag(call, "json"))
        return query_json(call, explain_json, &id);
    code = ask(call, SQL_JOB_EXPLAIN, &res);
    for (int row = 0; code == EXIT_DONE && row < PQntuples(res); row++)
        print_finding(res, row);
    return code;
}

/* ---- Change ------------------------------------------------------------------------------ */

static int
change_each(const struct call *call, id_verb *verb, const char *done, const char *nothing)
{
    AUTO(pgconn) PGconn *conn = NULL;
    int code = ids_open(call, &conn);

    if (code != EXIT_DONE)
        return code;
    return ids_each(call, conn, verb, call_text(call, "reason"), done, nothing);
}

static awa_status
cancel_one(PGconn *conn, int64_t id, const void *reason, awa_error *err)
{
    return awa_job_cancel(conn, id, reason, err);
}

static int
cancel_by_key(struct call *call, const char *key)
{
    AUTO(pgconn) PGconn *conn = NULL;
    int64_t id;
    awa_error err;

    if (session_open_engine(call, &conn, &err) != AWA_OK ||
        awa_job_cancel_by_key(conn, key, call_text(call, "reason"), &id, &err) != AWA_OK)
        return report(&err);
    if (call_flag(call, "json"))
        printf("{\"id\": %lld}\n", (long long)id);
    say(call, "job %lld: cancelled", (long long)id);
    return EXIT_DONE;
}

static int
cmd_job_cancel(struct call *call)
{
    const char *key = call_text(call, "unique-key");

    if (key != NULL && call->nargs > 0)
        return usage_error("%s: --unique-key excludes ids", call->words);
    if (key != NULL)
        return cancel_by_key(call, key);
    if (call->nargs == 0)
        return usage_error("%s: wants ID... or --unique-key; see %s --help", call->words,
                           call->words);
    return change_each(call, cancel_one, "cancelled", "not known, or in no state to be cancelled");
}

static awa_status
retry_one(PGconn *conn, int64_t id, const void *nothing, awa_error *err)
{
    (void)nothing;
    return awa_job_retry(conn, id, err);
}

static int
cmd_job_retry(struct call *call)
{
    const char *option = bulk_option(call, &retry_verb);
    bool failed = call_flag(call, "failed");

    if (failed && call->nargs > 0)
        return usage_error("%s: --failed goes without ids", call->words);
    if (failed)
        return bulk_run(call, &retry_verb);
    if (option != NULL)
        return usage_error("%s: --%s goes with --failed", call->words, option);
    if (call->nargs == 0)
        return usage_error("%s: wants ids, or --failed; see %s --help", call->words, call->words);
    return change_each(call, retry_one, "retried",
                       "not known, or in no state to be retried; for dead letters: awa dlq retry");
}

static int
cmd_job_discard(struct call *call)
{
    return bulk_run(call, &discard_verb);
}

static awa_status
delete_one(PGconn *conn, int64_t id, const void *nothing, awa_error *err)
{
    (void)nothing;
    return awa_job_delete(conn, id, err);
}

static int
cmd_job_delete(struct call *call)
{
    return change_each(call, delete_one, "deleted", "not known");
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
      .type = OPTION_NUMBER,
      .positive = true },
    { 0 },
};

static const struct option_spec cancel_options[] = {
    { .name = "reason", .value = "TEXT", .help = "kept with the job", .type = OPTION_TEXT },
    { .name = "unique-key",
      .value = "KEY",
      .help = "the live job that holds this key, instead of ids",
      .type = OPTION_TEXT },
    { 0 },
};

static const struct option_spec retry_options[] = {
    { .name = "failed", .help = "failed jobs that match every filter, instead of ids" },
    BULK_FILTERS,
    BULK_REST,
    { 0 },
};

static const struct option_spec wait_options[] = {
    { .name = "timeout",
      .value = "TIME",
      .help = "wait no longer; default: for ever",
      .type = OPTION_DURATION },
    { 0 },
};

static const struct option_spec discard_options[] = {
    BULK_FILTERS,
    BULK_REST,
    { 0 },
};

const struct command job_commands[] = {
    { .name = "insert",
      .summary = "add a job, or many from JSON lines",
      .args = "[-]",
      .max_args = 1,
      .options = job_insert_options,
      .notes =
          "From standard input comes one JSON object on each line, with the fields kind,\n"
          "args, queue, priority, max_attempts, run_at, delay (\"5m\") or delay_ms, tags,\n"
          "metadata, unique_key, ordering_key, max_run (\"30s\") or max_run_ms, follow. Options\n"
          "say what a line leaves out.\n"
          "--follow takes an object of \"on\" (completed, failed, cancelled, ended, retried,\n"
          "rescued) and \"job\", which has the fields of a line, but for run_at, delay and\n"
          "max_run. In its args, {\"$path\": \"$.output.url\"} stands for a part of {job, output,\n"
          "error, outcome} of the job that ended.\n"
          "A bad line is reported and passed over; then the exit code is 1. So is the second of a\n"
          "unique key; then it is 5, unless --skip-duplicates says that this is as well. With\n"
          "--strict both mean that nothing is inserted.\n"
          "A line waits 100 ms at most for others to go with. SIGTERM or SIGINT inserts what\n"
          "was read; the last message says behind which line to go on.",
      .examples = "awa job insert --kind mail --args '{\"to\": \"ann@example.org\"}'\n"
                  "awa job insert --kind report --run-at 'tomorrow 06:00' --unique-key daily\n"
                  "awa job insert --kind resize --follow '{\"on\": \"failed\", \"job\": {\"kind\": "
                  "\"alarm\"}}'\n"
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
    { .name = "dump",
      .summary = "all that is stored about a job: attempts, workers, claims, place",
      .args = "ID",
      .min_args = 1,
      .max_args = 1,
      .examples = "awa job dump 42\nawa job dump 42 --json | jq .appearances",
      .run = cmd_job_dump },
    { .name = "explain",
      .summary = "why a job does not run, or where it is now",
      .args = "ID",
      .min_args = 1,
      .max_args = 1,
      .examples = "awa job explain 42",
      .run = cmd_job_explain },
    { .name = "wait",
      .summary = "wait until a job has ended; print its output",
      .args = "ID",
      .min_args = 1,
      .max_args = 1,
      .options = wait_options,
      .notes =
          "Exit code 0: it completed; 4: it failed or was cancelled, and the last error is on\n"
          "standard error; 1: it has not ended in time; 3: it is not known, or not any more.",
      .examples = "awa job wait 17 --timeout 5m\n"
                  "awa job insert --kind sum --args '[1, 2]' --wait   # the same for a new one",
      .run = cmd_job_wait },
    { .name = "cancel",
      .summary = "cancel jobs in any live state",
      .args = "[ID...]",
      .max_args = -1,
      .options = cancel_options,
      .examples = "awa job cancel 42 43 --reason 'sent by hand'\n"
                  "awa job cancel --unique-key order-4711",
      .run = cmd_job_cancel },
    { .name = "retry",
      .summary = "run failed or cancelled jobs again; make waiting ones due",
      .args = "[ID...]",
      .max_args = -1,
      .options = retry_options,
      .notes = "--failed goes page by page, each page in a transaction of its own. A job whose\n"
               "unique key a newer one holds stays. Of jobs past retention only the number is\n"
               "left, of each queue; they cannot be retried. Dead letters: awa dlq retry",
      .examples = "awa job retry 42\n"
                  "awa job retry --failed --queue mail --dry-run\n"
                  "awa job retry --failed --kind invoice",
      .run = cmd_job_retry },
    { .name = "discard",
      .summary = "forget failed jobs for good",
      .options = discard_options,
      .notes = "Dead letters: awa dlq purge",
      .examples = "awa job discard --kind newsletter --dry-run\n"
                  "awa job discard --queue mail --tag obsolete",
      .run = cmd_job_discard },
    { .name = "delete",
      .summary = "forget jobs for good, whatever their state",
      .args = "ID...",
      .min_args = 1,
      .max_args = -1,
      .notes = "A job that runs is taken from its worker, which is told.",
      .examples = "awa job delete 42 43",
      .run = cmd_job_delete },
    { 0 },
};
