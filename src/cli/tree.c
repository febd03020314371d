/* SPDX-License-Identifier: MIT */
/* The command tree. To add a command, add a row. */
#include "cli/commands.h"

static const struct command commands[] = {
    { .name = "migrate",
      .summary = "create or upgrade schema awa",
      .examples = "awa migrate --dsn postgresql://admin@db.example/shop\n"
                  "awa migrate --dev",
      .run = cmd_migrate },
    { .name = "dev", .summary = "the private cluster for development", .children = dev_commands },
    { .name = "completion", .summary = "completion for a shell", .children = completion_commands },
    { .name = "version", .summary = "print versions", .run = cmd_version },
    { .name = "help",
      .summary = "explain a command",
      .args = "[COMMAND...]",
      .max_args = -1,
      .examples = "awa help dev start",
      .run = cmd_help },
    { 0 },
};

const struct command awa_command = {
    .name = "awa",
    .summary = "a background job queue on PostgreSQL",
    .children = commands,
    .examples = "awa migrate --dev      # a database of your own, with schema awa\n"
                "awa help dev",
};
