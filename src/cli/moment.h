/* SPDX-License-Identifier: MIT */
/* Times as people type them; Postgres reads them. */
#ifndef AWA_CLI_MOMENT_H
#define AWA_CLI_MOMENT_H

#include "cli/command.h"
#include "pg/pg.h"

/*
 * The time that an option of that name says, in ms; 0: it was not given. With `ago` a duration such
 * as 2h means so long ago. Says how any other was understood, with its zone. Returns EINVAL.
 */
awa_status moment_read(const struct call *call, PGconn *conn, const char *option, bool ago,
                       int64_t *ret_ms, awa_error *err) AWA_CHECKED;

#endif
