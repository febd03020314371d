/* SPDX-License-Identifier: MIT */
/* awa worker: lists workers. */
#include "cli/commands.h"
#include "cli/query.h"
#include "statements_cli.h"

static awa_status
list_json(PGconn *conn, const void *call, char **ret_json, awa_error *err)
{
    return awa_workers_list(conn, call_flag(call, "ended"), ret_json, err);
}

static int
cmd_worker_list(struct call *call)
{
    if (call_flag(call, "json"))
        return query_json(call, list_json, call);
    return query_show(call, SQL_WORKERS_LIST,
                      (const char *[]){ call_flag(call, "ended") ? "t" : "f" });
}

static const struct option_spec list_options[] = {
    { .name = "ended", .help = "also those that ended within the last hour" },
    { 0 },
};

const struct command worker_commands[] = {
    { .name = "list",
      .summary = "workers that are alive, and who leads",
      .options = list_options,
      .examples = "awa worker list",
      .run = cmd_worker_list },
    { 0 },
};
