/* SPDX-License-Identifier: MIT */
/* Every command, for the tree in tree.c. A noun with several verbs exports their table. */
#ifndef AWA_CLI_COMMANDS_H
#define AWA_CLI_COMMANDS_H

#include "cli/command.h"

extern const struct command awa_command; /* the root */

extern const struct command completion_commands[];
extern const struct command dev_commands[];

command_run cmd_help;
command_run cmd_migrate;
command_run cmd_version;

#endif
