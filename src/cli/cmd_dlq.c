/* SPDX-License-Identifier: MIT */
/* awa dlq: look at dead letters, run them again, move failed jobs there, forget them. */
#include <string.h>

#include "cli/bulk.h"
#include "cli/commands.h"
#include "cli/ids.h"
#include "cli/moment.h"
#include "cli/output.h"
#include "cli/query.h"
#include "cli/session.h"
#include "statements_api.h"
#include "statements_cli.h"

static const struct query list_query = { SQL_DLQ_LIST, SQL_DLQ_LIST_JSON };
static const struct query depth_query = { SQL_DLQ_DEPTH, SQL_DLQ_DEPTH_JSON };
static const struct query get_query = { SQL_JOB_GET, SQL_JOB_GET_JSON };

static const struct bulk_verb retry_verb = { .done = "retried",
                                             .run = awa_dlq_jobs_retry,
                                             .letters = true };
static const struct bulk_verb move_verb = { .done = "moved", .run = awa_failed_move };
static const struct bulk_verb purge_verb = { .done = "purged",
                                             .run = awa_dlq_purge,
                                             .letters = true };

/* ---- Look -------------------------------------------------------------------------------- */

/* A cursor is printed by us: MICROSECONDS-ID. */
static bool
is_cursor(const char *text)
{
    static const char digits[] = "0123456789";
    size_t first = strspn(text, digits);
    size_t second = text[first] == '-' ? strspn(text + first + 1, digits) : 0;

    return first > 0 && second > 0 && text[first + 1 + second] == '\0';
}

/* A time in ms as a parameter; NULL if the option was not given. */
static awa_status
read_time(const struct call *call, PGconn *conn, const char *option, char text[24],
          const char **ret_param, awa_error *err)
{
    int64_t ms;
    awa_status s = moment_read(call, conn, option, true, &ms, err);

    if (s != AWA_OK)
        return s;
    snprintf(text, 24, "%lld", (long long)ms);
    *ret_param = ms != 0 ? text : NULL;
    return AWA_OK;
}

static awa_status
list(const struct call *call, PGresult **ret_res, awa_error *err)
{
    char from[24], to[24];
    const char *params[] = {
        call_text(call, "kind"),
        call_text(call, "queue"),
        call_text(call, "tag"),
        call_text(call, "reason"),
        NULL,
        NULL,
        call_text(call, "before"),
        call_text(call, "limit"),
    };
    AUTO(pgconn) PGconn *conn = NULL;
    awa_status s = session_open_engine(call, &conn, err);

    if (s == AWA_OK)
        s = read_time(call, conn, "from", from, &params[4], err);
    if (s == AWA_OK)
        s = read_time(call, conn, "to", to, &params[5], err);
    if (s == AWA_OK)
        s = awa__sql_run(conn, call_flag(call, "json") ? list_query.json : list_query.table, params,
                         ret_res, err);
    return s;
}

static int
cmd_dlq_list(struct call *call)
{
    const char *before = call_text(call, "before");
    AUTO(pgresult) PGresult *res = NULL;
    awa_error err;
    int cursor, n;

    if (before != NULL && !is_cursor(before))
        return usage_error("%s: --before: '%s' is no cursor; take one that a list printed",
                           call->words, before);
    if (list(call, &res, &err) != AWA_OK)
        return report(&err);
    if (call_flag(call, "json")) {
        print_json(res);
        return EXIT_DONE;
    }
    cursor = PQnfields(res) - 1;
    n = PQntuples(res);
    print_columns(call, res, cursor);
    if (n > 0 && n == call_number(call, "limit"))
        say(call, "dlq list: the next ones: --before %s", PQgetvalue(res, n - 1, cursor));
    return EXIT_DONE;
}

static bool
is_dead(const struct call *call, const PGresult *res)
{
    if (PQntuples(res) == 0)
        return false;
    return call_flag(call, "json") ? strcmp(PQgetvalue(res, 0, 1), "t") == 0
                                   : !PQgetisnull(res, 0, PQfnumber(res, "dead_since"));
}

static int
cmd_dlq_show(struct call *call)
{
    AUTO(pgresult) PGresult *res = NULL;
    awa_error err;

    if (!id_check(call, call->args[0]))
        return EXIT_USAGE;
    if (query_run(call, get_query, (const char *[]){ call->args[0] }, &res, &err) != AWA_OK)
        return report(&err);
    if (!is_dead(call, res)) {
        (void)awa__fail(&err, AWA_ENOTFOUND, "job %s: not in the dead-letter queue", call->args[0]);
        return report(&err);
    }
    if (call_flag(call, "json"))
        print_json(res);
    else
        print_record(call, res);
    return EXIT_DONE;
}

static int
cmd_dlq_depth(struct call *call)
{
    return query_show(call, depth_query,
                      (const char *[]){ call->nargs > 0 ? call->args[0] : NULL });
}

/* ---- Change ------------------------------------------------------------------------------ */

/* Ids name single jobs, filters choose many: both at once would leave open what is meant. */
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
      .type = OPTION_NUMBER },
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
