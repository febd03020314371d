/* SPDX-License-Identifier: MIT */
/*
 * What a round costs: the costs so far, which are read twice, and counters that the server keeps.
 */
#ifndef AWA_BENCH_METER_H
#define AWA_BENCH_METER_H

#include <sys/types.h>

#include "pg/pg.h"

struct meter {
    PGconn *conn;
    pid_t postmaster; /* 0: not on this machine */
};

struct costs {
    double wal_bytes;          /* of the whole server */
    double client_s, server_s; /* of CPU; NAN: unknown */
};

/* Of the bench's database. */
struct counts {
    double commits;
    double inserts, updates, deletes, dead; /* tuples in the ringed tables */
    double rotations, ring_bytes;           /* how often a slot was opened; the size of all */
};

awa_status meter_init(struct meter *m, const char *conninfo, awa_error *err) AWA_CHECKED;
void meter_done(struct meter *m);

/* Makes a checkpoint, so that none is due for a while. Does nothing if the login may not. */
void meter_checkpoint(const struct meter *m);

awa_status meter_read(const struct meter *m, struct costs *ret_costs, awa_error *err) AWA_CHECKED;

/*
 * Reads the counts. A session reports its numbers when it ends, so this waits, for 5 s at most,
 * until only the meter and `others` are left.
 */
awa_status meter_count(const struct meter *m, int others, struct counts *ret_counts,
                       awa_error *err) AWA_CHECKED;

#endif
