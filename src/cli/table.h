/* SPDX-License-Identifier: MIT */
/* Prints rows as an aligned table, and one row as a list. */
#ifndef AWA_CLI_TABLE_H
#define AWA_CLI_TABLE_H

#include <stdbool.h>
#include <stdio.h>

#include <libpq-fe.h>

/*
 * Prints the first n columns. width: columns of the terminal; long cells are cut to fit. 0: nothing
 * is cut.
 */
void table_print(FILE *out, const PGresult *res, int n, int width, bool color);

/* Prints the columns of one row, each on a line. Those that are NULL are left out. */
void record_print(FILE *out, const PGresult *res, int row, bool color);

#endif
