/* SPDX-License-Identifier: MIT */
/* Finds the programs of a PostgreSQL installation. */
#ifndef AWA_CLI_BINARIES_H
#define AWA_CLI_BINARIES_H

#include "pg/pg.h"

enum { PG_MAJOR_MIN = 15 };

/*
 * Finds a PostgreSQL program; *ret_path is to be freed. major: the wanted version; 0 means the
 * newest, from PG_MAJOR_MIN on. AWA_PG_BINDIR overrides the search, and the version. Returns ESYS
 * with what to do about it.
 */
awa_status pg_program(const char *name, int major, char **ret_path, awa_error *err) AWA_CHECKED;

/* The same for a client program: AWA_PG_BINDIR may lack it, and then the others are searched. */
awa_status pg_client_program(const char *name, char **ret_path, awa_error *err) AWA_CHECKED;

#endif
