/* SPDX-License-Identifier: MIT */
/* From argv, environment and defaults to checked options. */
#ifndef AWA_CLI_OPTIONS_H
#define AWA_CLI_OPTIONS_H

#include "cli/command.h"

/*
 * Reads options from argv[1 .. argc - 1] and moves the other words behind them; *ret_rest is
 * where those begin. With `stop` it reads up to the first word only. False: a usage error, which
 * has been reported.
 */
bool options_parse(struct call *call, int argc, char **argv, bool stop, int *ret_rest);

/* For options that were not given: what the environment says, then the default. */
bool options_complete(struct call *call);

#endif
