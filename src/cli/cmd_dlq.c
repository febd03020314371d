/* SPDX-License-Identifier: MIT */
/* awa dlq: look at dead letters, run them again, delete them; move failed jobs there. */
#include <string.h>

#include "cli/bulk.h"
#include "cli/commands.h"
#include "cli/ids.h"
#include "cli/moment.h"
#include "cli/output.h"
#include "cli/query.h"
#include "cli/session.h"
#include "statements_cli.h"

static const struct bulk_verb retry_verb = { .done = "retried",
                                             .run = awa_dlq_jobs_retry,
                                             .letters = true };
static const struct bulk_verb move_verb = { .done = "moved", .run = awa_failed_move };
static const struct bulk_verb purge_verb = { .done = "purged",
                                             .run = awa_dlq_purge,
                                             .letters = true };

/* ---- Look -------------------------------------------------------------------------------- */

/* Whether a text is a cursor as a list prints it: MICROSECONDS-ID. */
static bool
is_cursor(const char *text)
{
    static const char digits[] = "0123456789";
    size_t first = strspn(text, digits);
    size_t second = text[first] == '-' ? strspn(text + first + 1, digits) : 0;

    return first > 0 && second > 0 && text[first + 1 + second] == '\0';
}

/* Reads the options of a list. */
static awa_status
read_list(const struct call *call, PGconn *conn, awa_list_options *o, awa_error *err)
{
    awa_status s;

    *o = *AWA_LIST(.kind = call_text(call, "kind"), .queue = call_text(call, "queue"),
                   .tag = call_text(call, "tag"), .reason = call_text(call, "reason"),
                   .before = call_text(call, "before"), .limit = call_number(call, "limit"));
    s = moment_read(call, conn, "from", true, &o->from_ms, err);
    return s == AWA_OK ? moment_read(call, conn, "to", true, &o->to_ms, err) : s;
}

static awa_status
list_table(const awa_list_options *o, PGconn *conn, PGresult **ret_res, awa_error *err)
{
    char from[24], to[24], limit[24];
    const char *params[] = {
        o->kind,
        o->queue,
        o->tag,
        o->reason,
        awa__number_param(from, o->from_ms),
        awa__number_param(to, o->to_ms),
        o->before,
        awa__number_param(limit, o->limit),
    };

    return awa__query(conn, SQL_DLQ_LIST, params, ret_res, err);
}

/* Prints the rows of a list. Their last column is the cursor, which is not printed. */
static int
show_list(const struct call *call, const PGresult *res)
{
    int cursor = PQnfields(res) - 1, n = PQntuples(res);

    print_columns(call, res, cursor);
    if (n > 0 && n == call_number(call, "limit"))
        say(call, "dlq list: the next ones: --before %s", PQgetvalue(res, n - 1, cursor));
    return EXIT_DONE;
}

static int
cmd_dlq_list(struct call *call)
{
    AUTO(pgconn) PGconn *conn = NULL;
    AUTO(pgresult) PGresult *res = NULL;
    AUTO(free) char *json = NULL;
    const char *before = call_text(call, "before");
    awa_list_options o;
    awa_error err;
    awa_status s;

    if (before != NULL && !is_cursor(before))
        return usage_error("%s: --before: '%s' is no cursor; take one that a list printed",
                           call->words, before);
    s = session_open_engine(call, &conn, &err);
    if (s == AWA_OK)
        s = read_list(call, conn, &o, &err);
    if (s == AWA_OK && call_flag(call, "json"))
        s = awa_dlq_list(conn, &o, &json, NULL, &err);
    else if (s == AWA_OK)
        s = list_table(&o, conn, &res, &err);
    if (s != AWA_OK)
        return report(&err);
    if (json == NULL)
        return show_list(call, res);
    puts(json);
    return EXIT_DONE;
}

static bool
is_dead(const PGresult *res)
{
    return PQntuples(res) > 0 && !PQgetisnull(res, 0, PQfnumber(res, "dead_since"));
}

/* Reads a dead letter as JSON; ENOTFOUND for other jobs. */
static awa_status
letter_json(PGconn *conn, const void *id, char **ret_json, awa_error *err)
{
    AUTO(pgresult) PGresult *res = NULL;
    char text[24];
    awa_status s;

    snprintf(text, sizeof text, "%lld", (long long)*(const int64_t *)id);
    s = awa__query(conn, SQL_JOB_GET, (const char *[]){ text }, &res, err);
    if (s == AWA_OK && !is_dead(res))
        s = awa__fail(err, AWA_ENOTFOUND, "job %s: not in the dead-letter queue", text);
    return s == AWA_OK ? awa_job_get(conn, *(const int64_t *)id, ret_json, err) : s;
}

static int
cmd_dlq_show(struct call *call)
{
    AUTO(pgresult) PGresult *res = NULL;
    int64_t id;
    awa_error err;

    if (!id_read(call, call->args[0], &id))
        return EXIT_USAGE;
    if (call_flag(call, "json"))
        return query_json(call, letter_json, &id);
    if (query_run(call, SQL_JOB_GET, (const char *[]){ call->args[0] }, &res, &err) != AWA_OK)
        return report(&err);
    if (!is_dead(res)) {
        (void)awa__fail(&err, AWA_ENOTFOUND, "job %s: not in the dead-letter queue", call->args[0]);
        return report(&err);
    }
    print_record(call, res);
    return EXIT_DONE;
}

static awa_status
depth_json(PGconn *conn, const void *queue, char **ret_json, awa_error *err)
{
    return awa_dlq_depth(conn, queue, ret_json, err);
}

static int
cmd_dlq_depth(struct call *call)
{
    const char *queue = call->nargs > 0 ? call->args[0] : NULL;

    if (call_flag(call, "json"))
        return query_json(call, depth_json, queue);
    return query_show(call, SQL_DLQ_DEPTH, &queue);
}

/* ---- Change ------------------------------------------------------------------------------ */

/* Refuses filters together with ids: it would not be clear which jobs are meant. */
static int
refuse_filter(const struct call *call, const struct bulk_verb *verb)
{
    const char *option = bulk_option(call, verb);

    if (option == NULL)
        return EXIT_DONE;
    return usage_error("%s: --%s goes without ids", call->words, option);
}

static awa_status
retry_one(PGconn *conn, int64_t id, const void *arg, awa_error *err)
{
    return awa_dlq_retry(conn, id, arg, err);
}

static int
cmd_dlq_retry(struct call *call)
{
    awa_bulk_options target = { .size = sizeof target };
    AUTO(pgconn) PGconn *conn = NULL;
    awa_error err;
    int code;

    if (call->nargs == 0)
        return bulk_run(call, &retry_verb);
    code = refuse_filter(call, &retry_verb);
    if (code == EXIT_DONE)
        code = ids_open(call, &conn);
    if (code != EXIT_DONE)
        return code;
    if (bulk_read_target(call, conn, &target, &err) != AWA_OK)
        return report(&err);
    return ids_each(call, conn, retry_one, &target, "retried", "not in the dead-letter queue");
}

static awa_status
move_one(PGconn *conn, int64_t id, const void *arg, awa_error *err)
{
    return awa_dlq_move(conn, id, arg, err);
}

static int
cmd_dlq_move(struct call *call)
{
    AUTO(pgconn) PGconn *conn = NULL;
    int code;

    if (call->nargs == 0)
        return bulk_run(call, &move_verb);
    code = refuse_filter(call, &move_verb);
    if (code == EXIT_DONE)
        code = ids_open(call, &conn);
    if (code != EXIT_DONE)
        return code;
    return ids_each(call, conn, move_one, call_text(call, "reason"), "moved",
                    "not known, or not failed, or there already");
}

static int
cmd_dlq_purge(struct call *call)
{
    return bulk_run(call, &purge_verb);
}

/* ---- The table --------------------------------------------------------------------------- */

static const struct option_spec list_options[] = {
    BULK_FILTERS,
    LETTER_FILTERS,
    { .name = "before",
      .value = "CURSOR",
      .help = "the next page: what the one before printed at its end",
      .type = OPTION_TEXT },
    { .name = "limit",
      .letter = 'n',
      .value = "N",
      .standard = "50",
      .help = "at most so many",
      .type = OPTION_NUMBER,
      .positive = true },
    { 0 },
};

static const struct option_spec retry_options[] = {
    BULK_FILTERS,
    LETTER_FILTERS,
    BULK_REST,
    { .name = "at",
      .value = "TIME",
      .help = "not before, such as 'tomorrow 06:00'",
      .type = OPTION_TEXT },
    { .name = "in", .value = "TIME", .help = "not before, from now", .type = OPTION_DURATION },
    { .name = "to-queue", .value = "QUEUE", .help = "in another queue", .type = OPTION_TEXT },
    { .name = "to-priority",
      .value = "N",
      .help = "with another priority, 1 to 4",
      .type = OPTION_NUMBER },
    { 0 },
};

static const struct option_spec move_options[] = {
    BULK_FILTERS,
    BULK_REST,
    { .name = "reason",
      .value = "TEXT",
      .help = "kept with them; default: manual",
      .type = OPTION_TEXT },
    { 0 },
};

static const struct option_spec purge_options[] = {
    BULK_FILTERS,
    LETTER_FILTERS,
    BULK_REST,
    { 0 },
};

const struct command dlq_commands[] = {
    { .name = "list",
      .summary = "dead letters, newest first",
      .options = list_options,
      .examples = "awa dlq list --queue mail --reason terminal_error --from yesterday\n"
                  "awa dlq list --json --limit 1000 | jq -r '.[-1].cursor'",
      .run = cmd_dlq_list },
    { .name = "show",
      .summary = "everything about a dead letter",
      .args = "ID",
      .min_args = 1,
      .max_args = 1,
      .examples = "awa dlq show 42",
      .run = cmd_dlq_show },
    { .name = "depth",
      .summary = "how many each queue has, and since when",
      .args = "[QUEUE]",
      .max_args = 1,
      .examples = "awa dlq depth",
      .run = cmd_dlq_depth },
    { .name = "retry",
      .summary = "run dead letters again, from attempt 0, their errors kept",
      .args = "[ID...]",
      .max_args = -1,
      .options = retry_options,
      .notes = "Named by ids, or all that match every filter, page by page, each page in a\n"
               "transaction of its own. A job whose unique key a newer one holds stays.",
      .examples = "awa dlq retry 42 43\n"
                  "awa dlq retry --queue mail --from 2h --dry-run\n"
                  "awa dlq retry --kind invoice --in 10m --to-queue slow --to-priority 4",
      .run = cmd_dlq_retry },
    { .name = "move",
      .summary = "move failed jobs to the dead-letter queue",
      .args = "[ID...]",
      .max_args = -1,
      .options = move_options,
      .notes = "Named by ids, or all that match every filter. To have jobs moved as they fail:\n"
               "awa queue set QUEUE --dlq on",
      .examples = "awa dlq move 42 --reason 'needs a look'\n"
                  "awa dlq move --queue mail --dry-run",
      .run = cmd_dlq_move },
    { .name = "purge",
      .summary = "forget dead letters for good",
      .options = purge_options,
      .notes = "One of them: awa job delete ID",
      .examples = "awa dlq purge --queue mail --to 30d --dry-run\n"
                  "awa dlq purge --all",
      .run = cmd_dlq_purge },
    { 0 },
};
