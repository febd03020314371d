/* SPDX-License-Identifier: MIT */
/* For tests of migrations: databases in an older state, migrators that are killed, comparisons. */
#ifndef AWA_TEST_MIGRATE_H
#define AWA_TEST_MIGRATE_H

#include <sys/types.h>

#include "test.h"

/*
 * A database beside that of db, without schema awa: how its owner reaches it. One at a time; a test
 * that passes drops it.
 */
const char *test_fresh_dsn(PGconn *db);
void test_fresh_drop(PGconn *db);

/* A session that is the caller's. */
PGconn *test_open(const char *dsn);

/* Makes another engine of ours, as its owner would have. db is a superuser's session. */
void test_make_old(PGconn *db, const char *sql);

/* Several migrators at the same moment, each in a session of its own; all must succeed. */
void test_migrate_at_once(const char *dsn, int n);

/*
 * A process that migrates, and kills itself (SIGKILL) when the server has answered n of its
 * statements; 0: never. The second waits for it and returns whether it was killed: false if it had
 * come to its end before, which must have been a good one.
 */
pid_t test_migrate_start(const char *dsn, int n);
bool test_migrate_killed(const char *dsn, int n);

/*
 * All that a migration makes, as one text that is the same for two databases that were made alike,
 * but for the sequences that each lane and each queue had of its own, in an older engine.
 */
const char *test_catalog(PGconn *db);

/* The rows of every table of schema awa, as one text. */
const char *test_contents(PGconn *db);

#endif
