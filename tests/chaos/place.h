/* SPDX-License-Identifier: MIT */
/*
 * Where a run happens: a folder, and in it a cluster that is reached through a unix socket. The
 * cluster keeps what it has committed when its processes are killed, but not when the machine
 * falls over: fsync is off, all other safeguards are on. It ends with the calling process.
 */
#ifndef CHAOS_PLACE_H
#define CHAOS_PLACE_H

#include "cli/cluster.h"
#include "cli/server.h"
#include "clock.h"

struct place {
    char dir[100];     /* of the run: histories, board, links, log of every process */
    char server[120];  /* of the cluster */
    char disk[140];    /* mount point of the disk for the WAL; "": there is none */
    atomic_int *clock; /* what the server's differs by, in s; NULL: it cannot be stepped */
    struct cluster *cluster;
    struct folder folder; /* the cluster's, to look at its process */
};

/* Makes both, with the schema, roles and tables of a run; wants_clock: one that can be stepped. */
awa_status place_make(struct place *p, bool wants_clock, awa_error *err) AWA_CHECKED;

/* How to connect: user chaos_worker, ..., or NULL for the administrator; link < 0: directly. */
void place_dsn(const struct place *p, const char *user, int link, char *to, size_t size);

/* The postmaster; 0: none runs. */
pid_t place_postmaster(const struct place *p);

/* Starts the server, however it ended, and waits until it takes connections. */
awa_status place_start(struct place *p, awa_error *err) AWA_CHECKED;

/* Ends the postmaster with a signal, and waits for it. */
void place_end_server(const struct place *p, int signal);

/* Stops every process of the server with SIGSTOP, or lets them go on. False: none runs. */
bool place_stop_server(const struct place *p);
void place_continue_server(const struct place *p);

/* Steps the wall clock of the server's host. False: it cannot be stepped. */
bool place_step_clock(const struct place *p, int seconds);

/* Fills the disk of the WAL, or makes room again. */
void place_fill_disk(const struct place *p);
void place_empty_disk(const struct place *p);

/* Stops the server and deletes the cluster, but not the histories; those. */
void place_remove(struct place *p);
void place_forget(const struct place *p);

#endif
