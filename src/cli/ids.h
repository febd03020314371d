/* SPDX-License-Identifier: MIT */
/* Commands about jobs that are named by their ids. */
#ifndef AWA_CLI_IDS_H
#define AWA_CLI_IDS_H

#include "cli/command.h"
#include "pg/pg.h"

/* An id is a number above 0. False: a usage error, which has been reported. */
bool id_read(const struct call *call, const char *text, int64_t *ret_id);

/* Checks every argument, then opens a session. Returns an exit code; what is wrong is reported. */
int ids_open(const struct call *call, PGconn **ret_conn);

/* What is done to one job. `arg` is the command's own. */
typedef awa_status id_verb(PGconn *conn, int64_t id, const void *arg, awa_error *err);

/*
 * Does it to every job of the call; what goes wrong with one does not keep the others from it.
 * `done` is what became of each, `nothing` what it means that there was nothing to do. Returns the
 * exit code of what went wrong last.
 */
int ids_each(const struct call *call, PGconn *conn, id_verb *verb, const void *arg,
             const char *done, const char *nothing);

#endif
