/* SPDX-License-Identifier: MIT */
/* Commands about jobs that are named by their ids. */
#ifndef AWA_CLI_IDS_H
#define AWA_CLI_IDS_H

#include "cli/command.h"
#include "pg/pg.h"

/* Reads an id, a number above 0. False: it is none, and a usage error was reported. */
bool id_read(const struct call *call, const char *text, int64_t *ret_id);

/* Checks every argument, then opens a session. Returns an exit code; an error was reported. */
int ids_open(const struct call *call, PGconn **ret_conn);

/* Changes one job. `arg` belongs to the command. */
typedef awa_status id_verb(PGconn *conn, int64_t id, const void *arg, awa_error *err);

/*
 * Runs the verb on every job of the call. After an error it goes on with the next job, unless the
 * session is gone. `done` says what a job then is; `nothing` is the message for ENOTFOUND. Returns
 * the exit code of the last error.
 */
int ids_each(const struct call *call, PGconn *conn, id_verb *verb, const void *arg,
             const char *done, const char *nothing);

#endif
