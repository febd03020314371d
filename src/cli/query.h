/* SPDX-License-Identifier: MIT */
/* Commands that read: a statement makes the table for people, a function of awa.h the JSON. */
#ifndef AWA_CLI_QUERY_H
#define AWA_CLI_QUERY_H

#include "cli/command.h"
#include "pg/pg.h"

/* Runs a statement that makes a table, on a session of its own. */
awa_status query_run(const struct call *call, const struct awa__sql *table,
                     const char *const *params, PGresult **ret_res, awa_error *err) AWA_CHECKED;

/* The same, and prints it. Returns an exit code. */
int query_show(const struct call *call, const struct awa__sql *table, const char *const *params);

/* A function of awa.h that makes a JSON text; `arg` is the command's own. */
typedef awa_status json_call(PGconn *conn, const void *arg, char **ret_json, awa_error *err);

/* Calls it on a session of its own and prints the text. Returns an exit code. */
int query_json(const struct call *call, json_call *how, const void *arg);

#endif
