/* SPDX-License-Identifier: MIT */
/* Which database a command talks to. */
#ifndef AWA_CLI_SESSION_H
#define AWA_CLI_SESSION_H

#include "cli/cluster.h"
#include "cli/command.h"

/*
 * The connection string of --dsn, --dev, AWA_DATABASE_URL or DATABASE_URL, to be freed; NULL, for
 * the PG* variables, if there is none of these. --dev starts the private cluster.
 */
awa_status session_dsn(const struct call *call, char **ret_dsn, awa_error *err) AWA_CHECKED;

/* A session with that database. */
awa_status session_open(const struct call *call, PGconn **ret_conn, awa_error *err) AWA_CHECKED;

/* The same, and the schema is there; ESCHEMA says what to do about it. */
awa_status session_open_engine(const struct call *call, PGconn **ret_conn,
                               awa_error *err) AWA_CHECKED;

/* The private cluster that --dir, AWA_DEV_DIR or the user's home choose. */
awa_status dev_cluster(const struct call *call, struct cluster **ret_cluster,
                       awa_error *err) AWA_CHECKED;

/* Starts it and says so; shows the log on stderr if that fails. */
awa_status dev_start(const struct call *call, struct cluster *c, awa_error *err) AWA_CHECKED;

#endif
