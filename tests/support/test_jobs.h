/* SPDX-License-Identifier: MIT */
/* For tests that move jobs: to insert, claim and close them in one line. */
#ifndef AWA_TEST_JOBS_H
#define AWA_TEST_JOBS_H

#include "attempt.h"
#include "test.h"

/* A job of kind 'k' with defaults, in this session's transaction. Returns its id. */
#define test_insert(conn) test_int(conn, "SELECT awa.insert_job('k')")

/* A lane of queue 'default', made now, so that no first user has to make it. */
#define test_lane(db, priority)                                                            \
    test_exec(db, "SET ROLE awa_owner; SELECT awa.open_lane('default', " #priority ", 0);" \
                  " RESET ROLE")

/*
 * The public number of the worker that registers next; db is a superuser's session. In most tests a
 * worker's number is its secret, so that there is one to remember.
 */
#define test_number(db, number) test_number_at(db, number, __FILE__, __LINE__)

/* The worker with that number was seen last so many seconds ago; db is a superuser's session. */
#define test_silence(db, number, seconds) test_silence_at(db, number, seconds, __FILE__, __LINE__)

/*
 * Another session, as the login test_worker, with a registered worker for queue 'default', whose
 * secret and number are the same.
 */
#define test_worker(db, worker) test_worker_at(db, worker, __FILE__, __LINE__)

/* Up to max jobs of queue 'default', at most 16. Returns how many. */
#define test_claim(conn, worker, max, ret) test_claim_at(conn, worker, max, ret, __FILE__, __LINE__)

/* The only job that a claim finds. */
#define test_claim_one(conn, worker) test_claim_one_at(conn, worker, __FILE__, __LINE__)

/* The ids that a claim returns, in its order, joined by spaces. */
#define test_claim_ids(conn, worker, max)                                              \
    test_text(conn, test_format("SELECT coalesce(string_agg(id::text, ' '), '') FROM " \
                                "awa.claim_jobs(%lld, 'default', %d)",                 \
                                (long long)(worker), (max)))

/* The statement that ends an attempt, and its answer: a state, "stale", or "!" and an error. */
const char *test_close_sql(const struct attempt *a, const char *outcome, const char *rest);
#define test_close(conn, a, outcome) test_text(conn, test_close_sql(a, outcome, ""))
#define test_complete_sql(a)                                                                   \
    test_format("SELECT awa.complete_jobs(%lld, '{%d}', '{%lld}', '{\"{[%lld,%lld]}\"}')",     \
                (long long)(a)->worker, (a)->slot, (long long)(a)->claim, (long long)(a)->pos, \
                (long long)(a)->pos)

/*
 * Worker 7 claims up to max jobs of a queue and ends them, each by itself, with an error; or
 * completes them, with one compact call.
 */
#define test_end(conn, queue, max, outcome) \
    test_end_at(conn, queue, max, outcome, __FILE__, __LINE__)
#define test_complete(conn, queue, max) test_complete_at(conn, queue, max, __FILE__, __LINE__)

/* As attempt_sql(). */
const char *test_attempt_sql(const char *text, const struct attempt *a);

/*
 * Waits until every transaction that has an id by now has ended, in any database of the cluster:
 * until then a gap may have an owner (rule G2).
 */
void test_wait_settled(PGconn *db);

/* "running", ...; "none" if the job is not known, and "several" if it is there more than once. */
const char *test_state(PGconn *db, int64_t id);

/* How many jobs there are in all, and how many of them are in a state. */
#define test_count(db, state) \
    test_int(db, test_format("SELECT count(*) FROM awa.jobs WHERE state = '%s'", state))

/*
 * The counters, what a scan of history finds, and awa.queue_counts() must agree with awa.jobs,
 * counted one by one, in one snapshot: the session's, if it holds one. The first use in a database
 * makes test.recount(), which has to be there before a snapshot is taken.
 */
#define test_counts(db)  test_counts_at(db, __FILE__, __LINE__)
#define test_trouble(db) test_trouble_at(db, __FILE__, __LINE__) /* what is wrong, in words */
void test_make_recount(PGconn *db);

/*
 * Random steps of all kinds, the same for each seed: jobs in queues q0 to q2, of kinds k0 to k2,
 * come to be in every state and in many slots. db is a superuser's session.
 */
void test_shake(PGconn *db, unsigned seed, int steps);

void test_end_at(PGconn *conn, const char *queue, int max, const char *outcome, const char *file,
                 int line);
void test_complete_at(PGconn *conn, const char *queue, int max, const char *file, int line);
void test_counts_at(PGconn *db, const char *file, int line);
const char *test_trouble_at(PGconn *db, const char *file, int line);
void test_silence_at(PGconn *db, int64_t number, int seconds, const char *file, int line);
void test_number_at(PGconn *db, int64_t number, const char *file, int line);
PGconn *test_worker_at(PGconn *db, int64_t worker, const char *file, int line);
int test_claim_at(PGconn *conn, int64_t worker, int max, struct attempt *ret, const char *file,
                  int line);
struct attempt test_claim_one_at(PGconn *conn, int64_t worker, const char *file, int line);

#endif
