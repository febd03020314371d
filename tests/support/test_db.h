/* SPDX-License-Identifier: MIT */
/* Databases for tests, cloned from a template. */
#ifndef AWA_TEST_DB_H
#define AWA_TEST_DB_H

#include "pg/pg.h"

/* A database of its own and a session there as superuser. */
awa_status test_db_create(PGconn **ret_db, awa_error *err) AWA_CHECKED;
awa_status test_db_drop(const char *name, awa_error *err) AWA_CHECKED;

/* Closes the session that creates and drops. */
void test_template_forget(void);

#endif
