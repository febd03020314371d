/* SPDX-License-Identifier: MIT */
/* Finds the database that a command uses, and connects to it. */
#ifndef AWA_CLI_SESSION_H
#define AWA_CLI_SESSION_H

#include "cli/cluster.h"
#include "cli/command.h"

/*
 * The connection string of --dev, --dsn, AWA_DATABASE_URL or DATABASE_URL, in this order; to be
 * freed. NULL if there is none of these: then the PG* variables count. --dev starts the private
 * cluster.
 */
awa_status session_dsn(const struct call *call, char **ret_dsn, awa_error *err) AWA_CHECKED;

/* Opens a session with that database. */
awa_status session_open(const struct call *call, PGconn **ret_conn, awa_error *err) AWA_CHECKED;

/* The same, and checks the schema. The error of ESCHEMA says what to do about it. */
awa_status session_open_engine(const struct call *call, PGconn **ret_conn,
                               awa_error *err) AWA_CHECKED;

/* The private cluster in --dir, AWA_DEV_DIR, or else the usual directory. */
awa_status dev_cluster(const struct call *call, struct cluster **ret_cluster,
                       awa_error *err) AWA_CHECKED;

/* Starts the cluster and prints that; if it fails, prints the server's log on stderr. */
awa_status dev_start(const struct call *call, struct cluster *c, awa_error *err) AWA_CHECKED;

#endif
