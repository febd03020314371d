/* SPDX-License-Identifier: MIT */
/* awa storage: look at the storage, repair its counters, empty it. */
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/query.h"
#include "cli/session.h"
#include "statements_api.h"
#include "statements_cli.h"

static awa_status
status_json(PGconn *conn, const void *nothing, char **ret_json, awa_error *err)
{
    (void)nothing;
    return awa_storage_status(conn, ret_json, err);
}

static int
cmd_storage_status(struct call *call)
{
    if (call_flag(call, "json"))
        return query_json(call, status_json, NULL);
    return query_show(call, SQL_STORAGE_STATUS, NULL);
}

/*
 * By how much the counters differed. With --json the answer has one sum, else a row for each queue.
 */
static int64_t
difference(const PGresult *res)
{
    int column = PQfnumber(res, "corrected");
    int64_t n = 0;

    for (int row = 0; row < PQntuples(res); row++)
        n += strtoll(PQgetvalue(res, row, column), NULL, 10);
    return n;
}

static int
cmd_storage_rebuild(struct call *call)
{
    bool check = call_flag(call, "check"), json = call_flag(call, "json");
    AUTO(pgresult) PGresult *res = NULL;
    int64_t n;
    awa_error err;

    if (query_run(call, json ? SQL_COUNTERS_REBUILD_JSON : SQL_COUNTERS_REBUILD,
                  (const char *[]){ check ? "t" : "f" }, &res, &err) != AWA_OK)
        return report(&err);
    if (json)
        print_json(res);
    else
        print_table(call, res);
    n = difference(res);
    if (!check)
        say(call, "storage: the counters are right, and trusted from now on");
    else if (n > 0)
        say(call,
            "storage: the counters differ by %lld; awa storage rebuild-terminal-counters "
            "puts them right",
            (long long)n);
    return check && n > 0 ? EXIT_FAILED : EXIT_DONE;
}

static int
cmd_storage_reset(struct call *call)
{
    AUTO(pgconn) PGconn *conn = NULL;
    awa_error err;
    awa_status s;

    if (!call_flag(call, "yes"))
        return usage_error("%s: forgets every job and every count of %s; say --yes if you mean it",
                           call->words, call->args[0]);
    s = session_open_engine(call, &conn, &err);
    if (s == AWA_OK)
        s = awa_storage_reset(conn, call->args[0], &err);
    if (s != AWA_OK)
        return report(&err);
    say(call, "storage: %s holds no job any more; settings, queues, rules and workers stay",
        call->args[0]);
    return EXIT_DONE;
}

static const struct option_spec rebuild_options[] = {
    { .name = "check", .help = "change nothing; exit with 1 if anything differs" },
    { 0 },
};

static const struct option_spec reset_options[] = {
    { .name = "yes", .letter = 'y', .help = "do not ask: forget them" },
    { 0 },
};

const struct command storage_commands[] = {
    { .name = "status",
      .summary = "segments, lanes, leader, counts and gauges, oldest snapshot",
      .examples = "awa storage status",
      .run = cmd_storage_status },
    { .name = "rebuild-terminal-counters",
      .summary = "count the history, put its counters right",
      .options = rebuild_options,
      .notes = "Reads the whole history; workers and producers go on meanwhile. Prints, for each\n"
               "queue, how many jobs were counted, how many found, and by how many the counts of\n"
               "its states were corrected, or with --check, would be.",
      .examples = "awa storage rebuild-terminal-counters --check",
      .run = cmd_storage_rebuild },
    { .name = "reset",
      .summary = "forget every job and every count of a database",
      .args = "DATABASE",
      .min_args = 1,
      .max_args = 1,
      .options = reset_options,
      .notes = "DATABASE must be the name of the database that the session is in. Refused while\n"
               "somebody is using the queue: stop workers and producers first.",
      .examples = "awa storage reset --yes shop_test",
      .run = cmd_storage_reset },
    { 0 },
};
