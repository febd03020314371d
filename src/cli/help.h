/* SPDX-License-Identifier: MIT */
/* Help, suggestions and completion, all from the command tree. */
#ifndef AWA_CLI_HELP_H
#define AWA_CLI_HELP_H

#include <stdio.h>

#include "cli/command.h"

/* Prints the help of a command; words are those that lead to it. */
void help_print(FILE *out, const char *words, const struct command *command);

/* The child whose name is the most like `word`; NULL: none is like it. */
const struct command *command_nearest(const struct command *parent, const char *word);

/* Prints a completion script for bash. */
void completion_bash(FILE *out, const struct command *root);

#endif
