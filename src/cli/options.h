/* SPDX-License-Identifier: MIT */
/* Reads options from argv, the environment and the defaults, and checks their form. */
#ifndef AWA_CLI_OPTIONS_H
#define AWA_CLI_OPTIONS_H

#include "cli/command.h"

/*
 * Reads options from argv[1 .. argc - 1] and moves the other words behind them; *ret_rest is the
 * index of the first of these. stop: reads up to the first word only. False: a usage error was
 * reported.
 */
bool options_parse(struct call *call, int argc, char **argv, bool stop, int *ret_rest);

/*
 * Adds the options that were not given and have a value in the environment, or else a default.
 * False: a usage error was reported.
 */
bool options_complete(struct call *call);

#endif
