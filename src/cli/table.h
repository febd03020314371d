/* SPDX-License-Identifier: MIT */
/* Rows as an aligned table. */
#ifndef AWA_CLI_TABLE_H
#define AWA_CLI_TABLE_H

#include <stdbool.h>
#include <stdio.h>

#include <libpq-fe.h>

/* width: columns of the terminal, long cells are cut to fit; 0: nothing is cut. */
void table_print(FILE *out, const PGresult *res, int width, bool color);

#endif
