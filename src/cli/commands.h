/* SPDX-License-Identifier: MIT */
/* All commands, for the tree in tree.c. A noun with several verbs exports their table. */
#ifndef AWA_CLI_COMMANDS_H
#define AWA_CLI_COMMANDS_H

#include "cli/command.h"

extern const struct command awa_command; /* the root */

extern const struct command bench_commands[];
extern const struct command completion_commands[];
extern const struct command dev_commands[];
extern const struct command dlq_commands[];
extern const struct command follow_commands[];
extern const struct command job_commands[];
extern const struct command queue_commands[];
extern const struct command storage_commands[];
extern const struct command worker_commands[];

command_run cmd_health;
command_run cmd_help;
command_run cmd_migrate;
command_run cmd_version;
command_run cmd_work;

/* Parts of commands whose row is in another file. */
extern const struct option_spec job_insert_options[];
extern const struct option_spec migrate_options[];
extern const struct option_spec work_options[];
command_run cmd_job_insert;

#endif
