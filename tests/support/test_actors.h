/* SPDX-License-Identifier: MIT */
/*
 * For tests in which many sessions act at once, each in a thread of its own. An actor must not
 * assert anything: it reports trouble, the first of which ends the play for all and fails the test.
 */
#ifndef AWA_TEST_ACTORS_H
#define AWA_TEST_ACTORS_H

#include <pthread.h>
#include <stdatomic.h>

#include "pg/ranges.h"
#include "test_jobs.h"

struct actor {
    pthread_t thread;
    int number; /* 1, 2, ... */
    unsigned seed;
    PGconn *conn;
    int64_t worker; /* as it is registered by actor_hire() */
    int64_t beat_at;
};

/* Before the first actor of a test. */
void actors_begin(void);

/* Starts actors[*n], and counts it. */
void actors_start(struct actor *actors, int *n, void *(*run)(void *));

/* Waits until they have returned. */
void actors_join(struct actor *actors, int n);

/* Once all have returned: fails the test if one of them had trouble. */
void actors_end(void);

void actors_report(const char *what, const char *text);
bool actors_in_trouble(void);

/* A number below n. */
int actor_dice(struct actor *a, int n);
void actor_nap(int ms);

/* Opens a->conn; PQfinish() is the caller's. */
bool actor_enter(struct actor *a, const char *dsn);

/*
 * One statement. NULL, or false, if it failed with one of the SQLSTATEs that may happen, which are
 * separated by spaces; any other failure is trouble.
 */
PGresult *actor_ask(struct actor *a, const char *may_fail, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
bool actor_run(struct actor *a, const char *may_fail, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The actor becomes a new worker of those queues, '{a,b}'; and tells at times that it is alive. */
void actor_hire(struct actor *a, const char *queues);
void actor_beat(struct actor *a);

/* Up to max jobs, as rows of these columns; NULL or no rows: none. */
enum { CLAIMED_ID, CLAIMED_CLAIM, CLAIMED_POS, CLAIMED_SLOT };
PGresult *actor_claim(struct actor *a, const char *queue, int max);
int64_t actor_number(const PGresult *res, int row, int column);

/* Completes all that was claimed with one compact call; `done` are the positions it ended. */
bool actor_complete(struct actor *a, const PGresult *claimed, struct ranges *ret_done);

#endif
