/* SPDX-License-Identifier: MIT */
/*
 * What a database may lack after it was restored, copied or changed by hand: each function looks at
 * one matter, adds what differs to the findings, and mends it unless it is only to look. They are
 * parts of awa migrate, in its transaction.
 */
#ifndef AWA_MEND_H
#define AWA_MEND_H

#include "lib/migrate.h"
#include "pg/pg.h"

/* Takes a result of columns what and detail; an empty one is dropped. */
void findings_take(struct awa__findings *f, PGresult **res);

/* The same, of one row. */
awa_status findings_add(PGconn *conn, struct awa__findings *f, const char *what, const char *detail,
                        awa_error *err) AWA_CHECKED;

/* Roles of awa that are missing, and the session's right to become awa_owner. */
awa_status mend_roles(PGconn *conn, bool check, struct awa__findings *f,
                      awa_error *err) AWA_CHECKED;

/* Every object of the schema, for those below. */
awa_status read_catalog(PGconn *conn, PGresult **ret_catalog, awa_error *err) AWA_CHECKED;

/* A schema that belongs to somebody else. If that is mended, the catalog is another one. */
awa_status mend_owners(PGconn *conn, bool check, PGresult **catalog, struct awa__findings *f,
                       awa_error *err) AWA_CHECKED;

/* What is left to do about objects. */
struct outdated {
    bool engine; /* it must be applied again */
    bool record; /* so must the record: it was made on another version of PostgreSQL */
};

/*
 * Objects that are not as they were recorded. role: the session's, to which it returns for what
 * awa_owner may not do.
 */
awa_status mend_objects(PGconn *conn, bool check, const PGresult *catalog, const char *role,
                        struct awa__findings *f, struct outdated *ret_left,
                        awa_error *err) AWA_CHECKED;

/* All objects are right now: this is how they are to be. */
awa_status record_objects(PGconn *conn, awa_error *err) AWA_CHECKED;

/* What does not travel with the tables; see sql/engine/operator/mend.sql. */
awa_status mend_tables(PGconn *conn, bool check, struct awa__findings *f,
                       awa_error *err) AWA_CHECKED;

#endif
