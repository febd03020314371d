/* SPDX-License-Identifier: MIT */
/*
 * A private PostgreSQL cluster: in a directory of its own, reached through a unix socket only, on
 * demand. `awa dev` and --dev use it, and so do the tests.
 */
#ifndef AWA_CLI_CLUSTER_H
#define AWA_CLI_CLUSTER_H

#include "pg/pg.h"

struct cluster; /* opaque */

/* What can be seen from outside. */
struct cluster_state {
    bool exists;
    pid_t pid; /* 0: not running */
    int major; /* PostgreSQL version; 0: unknown */
    int64_t bytes;
};

/* throwaway: without durability, and it ends when the calling thread ends. Starts nothing. */
awa_status cluster_new(const char *dir, bool throwaway, struct cluster **ret_cluster,
                       awa_error *err) AWA_CHECKED;
struct cluster *cluster_free(struct cluster *c);

/* Makes it if there is none, starts it if it does not run; *ret_started tells. */
awa_status cluster_start(struct cluster *c, bool *ret_started, awa_error *err) AWA_CHECKED;

/* Stops it if it runs; *ret_stopped tells. */
awa_status cluster_stop(struct cluster *c, bool *ret_stopped, awa_error *err) AWA_CHECKED;

/* Stops it and deletes its directory with all data. Returns ENOTFOUND if it is none of ours. */
awa_status cluster_remove(struct cluster *c, awa_error *err) AWA_CHECKED;

void cluster_look(const struct cluster *c, struct cluster_state *ret_state);

const char *cluster_dir(const struct cluster *c);
const char *cluster_dsn(const struct cluster *c);

/* What the server wrote since the last cluster_start() began, its last lines. */
void cluster_print_log(const struct cluster *c, FILE *out);

static inline void
auto_cluster(struct cluster **c)
{
    (void)cluster_free(*c);
}

#endif
