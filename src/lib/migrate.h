/* SPDX-License-Identifier: MIT */
/* Brings schema awa to the state of the embedded files, and tells what was done. */
#ifndef AWA_LIB_MIGRATE_H
#define AWA_LIB_MIGRATE_H

#include "pg/pg.h"

/* One result for each comparison that found something; its first columns are what and detail. */
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
    MIGRATE,       /* repairs what differs; reads the tables only if the database was moved */
    MIGRATE_WHOLE, /* always reads the tables, too */
    MIGRATE_CHECK, /* changes nothing: the findings are what differs */
};

/* Does what `awa migrate` does. ret_done is set on success; free it with auto_migration(). */
awa_status awa__migrate(PGconn *conn, enum awa__migrate_mode mode, struct awa__migration *ret_done,
                        awa_error *err) AWA_CHECKED;

#endif
