/* SPDX-License-Identifier: MIT */
/*
 * A private PostgreSQL cluster in a directory of its own. It is reached through a unix socket only,
 * and started on demand. `awa dev`, --dev and the tests use it.
 */
#ifndef AWA_CLI_CLUSTER_H
#define AWA_CLI_CLUSTER_H

#include "pg/pg.h"

struct cluster; /* opaque */

/* What cluster_look() can see without a session. */
struct cluster_state {
    bool exists;
    pid_t pid; /* 0: not running */
    int major; /* PostgreSQL version; 0: unknown */
    int64_t bytes;
};

/*
 * Starts nothing. throwaway: the server is not durable, and ends when the thread that starts it
 * ends. Removes PGHOSTADDR and PGSERVICE from the environment of this process.
 */
awa_status cluster_new(const char *dir, bool throwaway, struct cluster **ret_cluster,
                       awa_error *err) AWA_CHECKED;
struct cluster *cluster_free(struct cluster *c);

/*
 * Makes the cluster if there is none; starts it if it does not run, and then *ret_started is true.
 */
awa_status cluster_start(struct cluster *c, bool *ret_started, awa_error *err) AWA_CHECKED;

/* Stops the server; *ret_stopped: it was running. */
awa_status cluster_stop(struct cluster *c, bool *ret_stopped, awa_error *err) AWA_CHECKED;

/* Stops the server and deletes its directory. Returns ENOTFOUND if that has no marker of ours. */
awa_status cluster_remove(struct cluster *c, awa_error *err) AWA_CHECKED;

void cluster_look(const struct cluster *c, struct cluster_state *ret_state);

const char *cluster_dir(const struct cluster *c);
const char *cluster_dsn(const struct cluster *c);

/* Prints the end of what the server has logged since the last cluster_start() began. */
void cluster_print_log(const struct cluster *c, FILE *out);

static inline void
auto_cluster(struct cluster **c)
{
    (void)cluster_free(*c);
}

#endif
