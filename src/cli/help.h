/* SPDX-License-Identifier: MIT */
/* Help, suggestions and completion: the command tree, read by people and shells. */
#ifndef AWA_CLI_HELP_H
#define AWA_CLI_HELP_H

#include <stdio.h>

#include "cli/command.h"

/* The whole help of a command; words are those that lead to it. */
void help_print(FILE *out, const char *words, const struct command *command);

/* The child whose name is nearly `word`, or NULL. */
const struct command *command_nearest(const struct command *parent, const char *word);

/* A completion script for bash. */
void completion_bash(FILE *out, const struct command *root);

#endif
