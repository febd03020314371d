/* SPDX-License-Identifier: MIT */
/* Reads times as people type them; Postgres does it. */
#ifndef AWA_CLI_MOMENT_H
#define AWA_CLI_MOMENT_H

#include "cli/command.h"
#include "pg/pg.h"

/*
 * Reads the time that an option has, in ms since 1970; 0: it was not given. With `ago` a duration
 * such as 2h means so long ago. Prints how any other time was understood, with its zone. Returns
 * EINVAL for a text that is no time.
 */
awa_status moment_read(const struct call *call, PGconn *conn, const char *option, bool ago,
                       int64_t *ret_ms, awa_error *err) AWA_CHECKED;

#endif
