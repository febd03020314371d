/* SPDX-License-Identifier: MIT */
/* Bringing schema awa to the state of the embedded files, and saying what was done. */
#ifndef AWA_LIB_MIGRATE_H
#define AWA_LIB_MIGRATE_H

#include "pg/pg.h"

/* A result for each look that found something; its first columns are what, and detail. */
struct awa__findings {
    PGresult *of[8];
    int n;
};

static inline void
auto_findings(struct awa__findings *f)
{
    while (f->n > 0)
        PQclear(f->of[--f->n]);
}

/* What a migration did. */
struct awa__migration {
    int from, to;        /* schema versions; 0: there was none */
    bool engine_applied; /* functions and views were replaced */
    struct awa__findings found;
};

static inline void
auto_migration(struct awa__migration *done)
{
    auto_findings(&done->found);
}

enum awa__migrate_mode {
    MIGRATE,       /* mends what differs; reads the tables only if the database was moved */
    MIGRATE_WHOLE, /* compares the tables in any case */
    MIGRATE_CHECK, /* only looks: what is found differs */
};

/* What `awa migrate` does; the output is to be freed by auto_migration(). */
awa_status awa__migrate(PGconn *conn, enum awa__migrate_mode mode, struct awa__migration *ret_done,
                        awa_error *err) AWA_CHECKED;

#endif
