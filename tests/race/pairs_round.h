/* SPDX-License-Identifier: MIT */
/*
 * Two sessions with one verb each, in steps: call, hear the answer, end the transaction; and a
 * judge. A round that ends in a way that is not allowed is told and counted.
 */
#ifndef AWA_PAIRS_ROUND_H
#define AWA_PAIRS_ROUND_H

#include "pairs_db.h"
#include "pairs_oracle.h"

enum { ROLES = 3, STATES_MAX = 32 };

/* What a test has to hand: sessions[side][role], the last ones as superuser. */
struct bench {
    PGconn *db;
    PGconn *sessions[2][ROLES + 1];
    int ran, failures;
};

struct round {
    struct bench *bench;
    const struct state *state;
    const struct verb *const *pair;
    const char *schedule, *gate; /* in words */
    PGconn *conns[2];
    struct attempt attempt;
    struct ending got;
    bool open[2];     /* a transaction */
    bool asked[2];    /* its answer is not here yet */
    bool met;         /* the first had not ended when the second was called */
    bool rolled_back; /* the first */
};

struct bench bench_prepare(PGconn *db);

/* Fails the test if a round failed, or if the server has seen a deadlock. */
void bench_conclude(struct bench *bench);

/* Whether AWA_PAIR lets a pair run. */
bool bench_wants(const struct verb *const *pair);

/*
 * The states to run a pair from: all in which they are rivals, and one in which they are
 * neighbours, for each pair another one. Returns how many.
 */
size_t choose_states(const struct verb *const *pair, const struct state **ret_states,
                     enum meeting *ret_meetings);

struct round round_begin(struct bench *bench, const struct state *state,
                         const struct verb *const *pair, const char *schedule);
void round_call(struct round *r, int side);
bool round_is_blocked(struct round *r, int side);
void round_hear(struct round *r, int side);

/* After its answer, if that is not here yet; once is enough. */
void round_commit(struct round *r, int side);
void round_roll_back_first(struct round *r);

void round_tell(const struct round *r, const struct allowed *all, const char *what);
void round_judge(struct round *r);

#endif
