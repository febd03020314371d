/* SPDX-License-Identifier: MIT */
/*
 * The PostgreSQL server in a folder: its files, its process. The caller acts as the owner and,
 * for all that changes something, holds the lock.
 */
#ifndef AWA_CLI_SERVER_H
#define AWA_CLI_SERVER_H

#include "cli/folder.h"

/* The only role at first, a superuser, and the database for awa. */
#define SERVER_USER     "awa_admin"
#define SERVER_DATABASE "awa"
#define SERVER_PORT     "5432" /* only a part of the socket's name */

/* In the folder. */
#define SERVER_DATA "data"
#define SERVER_LOG  "server.log"

struct server {
    const struct folder *folder;
    bool throwaway; /* no fsync, and it ends with the caller */
};

/*
 * Makes the data directory; a call that died halfway left nothing that counts. The lock stays
 * taken while initdb lives, even if we do not.
 */
awa_status server_init(const struct server *server, int lock, awa_error *err) AWA_CHECKED;
bool server_is_initialised(const struct server *server);

/* Starts the server and waits until it takes connections. */
awa_status server_start(const struct server *server, awa_error *err) AWA_CHECKED;

/* Fast shutdown: open transactions are rolled back. */
awa_status server_stop(const struct server *server, awa_error *err) AWA_CHECKED;

/* The process that serves this data directory; 0: none. A stale pid file fools nobody. */
pid_t server_pid(const struct server *server);

/* Major version of the data directory; 0: unknown. */
int server_major(const struct server *server);

/* A connection string for a database, to be freed; NULL: out of memory. */
char *server_dsn(const struct server *server, const char *database);

#endif
