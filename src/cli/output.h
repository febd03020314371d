/* SPDX-License-Identifier: MIT */
/* Output: data on stdout, everything else on stderr as `awa: subject: message`. */
#ifndef AWA_CLI_OUTPUT_H
#define AWA_CLI_OUTPUT_H

#include <stdio.h>

#include <libpq-fe.h>

#include "cli/command.h"
#include "cli/complain.h"
#include "pg/pg.h"

/* Prints a message on stderr, unless --quiet is given. */
void say(const struct call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Prints rows as a table that fits the terminal. */
void print_table(const struct call *call, const PGresult *res);

/* The same for the first n columns: the others are for the program. */
void print_columns(const struct call *call, const PGresult *res, int n);

/* Prints the first row, one column on each line. */
void print_record(const struct call *call, const PGresult *res);

/* Prints the JSON in column 0 of row 0; "null" if there is none. */
void print_json(const PGresult *res);

/* Prints a JSON string, quoted and escaped, for the few answers that do not come from Postgres. */
void print_json_string(FILE *out, const char *text);

#endif
