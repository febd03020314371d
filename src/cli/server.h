/* SPDX-License-Identifier: MIT */
/*
 * The PostgreSQL server in a folder: its files and its process. The caller acts as the owner. To
 * call a function that changes something, the caller must hold the lock.
 */
#ifndef AWA_CLI_SERVER_H
#define AWA_CLI_SERVER_H

#include "cli/folder.h"

/* The role that initdb makes, a superuser, and the database for awa. */
#define SERVER_USER     "awa_admin"
#define SERVER_DATABASE "awa"
#define SERVER_PORT     "5432" /* only a part of the socket's name */

/* Names in the folder. */
#define SERVER_DATA "data"
#define SERVER_LOG  "server.log"

struct server {
    const struct folder *folder;
    bool throwaway; /* no fsync, and the server ends with the thread that started it */
};

/*
 * Makes the data directory. A call that dies halfway leaves none; the next call deletes the rest.
 * initdb inherits the lock, so it is held until initdb has ended, even if we die before.
 */
awa_status server_init(const struct server *server, int lock, awa_error *err) AWA_CHECKED;
bool server_is_initialised(const struct server *server);

/* Starts the server and waits until it takes connections. */
awa_status server_start(const struct server *server, awa_error *err) AWA_CHECKED;

/* Fast shutdown: open transactions are rolled back. */
awa_status server_stop(const struct server *server, awa_error *err) AWA_CHECKED;

/* The process that serves this data directory; 0: none. A stale postmaster.pid is recognized. */
pid_t server_pid(const struct server *server);

/* Major version of the data directory; 0: unknown. */
int server_major(const struct server *server);

/* Makes a connection string for a database, to be freed; NULL: out of memory. */
char *server_dsn(const struct server *server, const char *database);

#endif
