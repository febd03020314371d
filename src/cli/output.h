/* SPDX-License-Identifier: MIT */
/* What the program says: data on stdout, everything else on stderr as `awa: subject: message`. */
#ifndef AWA_CLI_OUTPUT_H
#define AWA_CLI_OUTPUT_H

#include <stdio.h>

#include <libpq-fe.h>

#include "cli/command.h"
#include "cli/complain.h"
#include "pg/pg.h"

/* News that --quiet suppresses. */
void say(const struct call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Rows, as a table that fits the terminal. */
void print_table(const struct call *call, const PGresult *res);

/* The same, but only their first n columns: those behind are for the program. */
void print_columns(const struct call *call, const PGresult *res, int n);

/* The first row, its columns one below the other. */
void print_record(const struct call *call, const PGresult *res);

/* For --json: the value in column 0 of row 0. JSON always comes from Postgres. */
void print_json(const PGresult *res);

/* One string, quoted and escaped, for the few answers that are given without a database. */
void print_json_string(FILE *out, const char *text);

#endif
