/* SPDX-License-Identifier: MIT */
/* Commands that read: one statement for people, one for --json. */
#ifndef AWA_CLI_QUERY_H
#define AWA_CLI_QUERY_H

#include "cli/command.h"
#include "pg/pg.h"

/* The same question in two forms; JSON comes whole, in column 0 of row 0. */
struct query {
    const struct awa__sql *table, *json;
};

/* Runs the form that the call wants, on a session of its own. */
awa_status query_run(const struct call *call, struct query query, const char *const *params,
                     PGresult **ret_res, awa_error *err) AWA_CHECKED;

/* Prints what came, as a table or as JSON. */
void query_print(const struct call *call, const PGresult *res);

/* Both. Returns an exit code. */
int query_show(const struct call *call, struct query query, const char *const *params);

#endif
