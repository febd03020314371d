/* SPDX-License-Identifier: MIT */
/*
 * Repairs what may be wrong with a database after it was restored, copied or changed by hand. Each
 * mend_...() compares one matter, adds what differs to the findings, and repairs it unless `check`
 * is set. They are parts of `awa migrate`, and run in its transactions.
 */
#ifndef AWA_MEND_H
#define AWA_MEND_H

#include "lib/migrate.h"
#include "pg/pg.h"

/* Takes a result whose first columns are what and detail; leaves an empty one to the caller. */
void findings_take(struct awa__findings *f, PGresult **res);

/* Adds one finding. */
awa_status findings_add(PGconn *conn, struct awa__findings *f, const char *what, const char *detail,
                        awa_error *err) AWA_CHECKED;

/* Compares the roles of awa, and whether the session may become awa_owner. */
awa_status mend_roles(PGconn *conn, bool check, struct awa__findings *f,
                      awa_error *err) AWA_CHECKED;

/* Reads every object of the schema, for the functions below. */
awa_status read_catalog(PGconn *conn, PGresult **ret_catalog, awa_error *err) AWA_CHECKED;

/* Compares the owners of the schema's objects. A repair replaces *catalog by a new reading. */
awa_status mend_owners(PGconn *conn, bool check, PGresult **catalog, struct awa__findings *f,
                       awa_error *err) AWA_CHECKED;

/* What is left to do about objects. */
struct outdated {
    bool engine; /* it must be applied again */
    bool record; /* the record must be made again: it is of another version of PostgreSQL */
};

/*
 * Compares objects with the record of how they should be. role: the session's own, to which it
 * returns for commands that awa_owner may not run. Returns ESCHEMA if a table or column is missing.
 */
awa_status mend_objects(PGconn *conn, bool check, const PGresult *catalog, const char *role,
                        struct awa__findings *f, struct outdated *ret_left,
                        awa_error *err) AWA_CHECKED;

/* Records all objects as they are now, as they should be. */
awa_status record_objects(PGconn *conn, awa_error *err) AWA_CHECKED;

/* Compares tables with what a copy of them loses; see sql/engine/operator/mend.sql. */
awa_status mend_tables(PGconn *conn, bool check, struct awa__findings *f,
                       awa_error *err) AWA_CHECKED;

#endif
