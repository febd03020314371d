/* SPDX-License-Identifier: MIT */
/*
 * The database that a bench runs in. The bench makes it on the given server, with a comment that
 * says so, and drops it at the end. So it touches nobody's queue.
 */
#ifndef AWA_BENCH_PLACE_H
#define AWA_BENCH_PLACE_H

#include "pg/pg.h"

struct place {
    char *home;   /* a conninfo for another database of the server; NULL: the PG* variables */
    PGconn *lock; /* a session there that keeps the name for us */
    char *name;
    char *conninfo;
    bool made;
};

/*
 * Makes and migrates the database. One that an earlier bench has left behind is dropped first.
 * EBUSY: that bench still runs, or no bench has made it.
 */
awa_status place_new(const char *home, const char *name, struct place **ret_place,
                     awa_error *err) AWA_CHECKED;

/* Drops the database and the sessions that are still in it. A failure is printed on stderr. */
struct place *place_free(struct place *p);

static inline void
auto_place(struct place **p)
{
    (void)place_free(*p);
}

#endif
