/* SPDX-License-Identifier: MIT */
#include "cli/commands.h"
#include "cli/query.h"
#include "statements_api.h"
#include "statements_cli.h"

static int
cmd_worker_list(struct call *call)
{
    static const struct query query = { SQL_WORKERS_LIST, SQL_WORKERS_LIST_JSON };

    return query_show(call, query, (const char *[]){ call_flag(call, "ended") ? "t" : "f" });
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
