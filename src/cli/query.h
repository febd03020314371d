/* SPDX-License-Identifier: MIT */
/* For commands that read: a statement makes the table for people, a function of awa.h the JSON. */
#ifndef AWA_CLI_QUERY_H
#define AWA_CLI_QUERY_H

#include "cli/command.h"
#include "pg/pg.h"

/* Runs a statement that makes a table, on a session of its own. */
awa_status query_run(const struct call *call, const struct awa__sql *table,
                     const char *const *params, PGresult **ret_res, awa_error *err) AWA_CHECKED;

/* The same, and prints the table. Returns an exit code. */
int query_show(const struct call *call, const struct awa__sql *table, const char *const *params);

/* A function of awa.h that makes a JSON text; `arg` belongs to the command. */
typedef awa_status json_call(PGconn *conn, const void *arg, char **ret_json, awa_error *err);

/* Calls such a function on a session of its own, and prints the text. Returns an exit code. */
int query_json(const struct call *call, json_call *how, const void *arg);

#endif
