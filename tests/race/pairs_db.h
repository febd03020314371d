/* SPDX-License-Identifier: MIT */
/* The database in which two verbs meet, thousands of times. */
#ifndef AWA_PAIRS_DB_H
#define AWA_PAIRS_DB_H

#include "test_jobs.h"

/* Makes the functions below, and a ring of three slots: to plan over sixteen takes most of the time
 * of a short transaction. */
void pairs_prepare(PGconn *db);

/*
 * Empties the database and puts a job into a state; args are those of test.begin(). Returns the
 * attempt that runs it, or that did run it.
 */
struct attempt pairs_begin(PGconn *db, const char *args);

/*
 * What has become of it, as scene_text() would say it. Whatever is wrong whichever way the verbs
 * went is added: a job in two places, counts that do not agree, a stale answer that counted, a
 * queue that does not hand out what waits, a rescue that does not come back. Changes the database.
 */
const char *pairs_finish(PGconn *db, const struct attempt *a);

#endif
