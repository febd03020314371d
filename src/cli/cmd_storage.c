/* SPDX-License-Identifier: MIT */
#include "cli/commands.h"
#include "cli/query.h"

static int
cmd_storage_status(struct call *call)
{
    static const struct query query = { SQL_STORAGE_STATUS, SQL_STORAGE_STATUS_JSON };

    return query_show(call, query, NULL);
}

const struct command storage_commands[] = {
    { .name = "status",
      .summary = "the ring of segments, lanes, leader, oldest snapshot",
      .examples = "awa storage status",
      .run = cmd_storage_status },
    { 0 },
};
