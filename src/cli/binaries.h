/* SPDX-License-Identifier: MIT */
#ifndef AWA_CLI_BINARIES_H
#define AWA_CLI_BINARIES_H

#include "pg/pg.h"

enum { PG_MAJOR_MIN = 15 };

/*
 * The path of a PostgreSQL program, to be freed. major: wanted version; 0 means the newest, from
 * PG_MAJOR_MIN on. Returns ESYS with what to do about it.
 */
awa_status pg_program(const char *name, int major, char **ret_path, awa_error *err) AWA_CHECKED;

/* The same of a client program: an installation that was chosen may be a server and no more. */
awa_status pg_client_program(const char *name, char **ret_path, awa_error *err) AWA_CHECKED;

#endif
