/* SPDX-License-Identifier: MIT */
/*
 * Every job of a round, by its number: when it was sent, whether it was committed, how often it
 * ran, how long it took. Producers, handlers and the watch write here at the same time.
 */
#ifndef AWA_BENCH_TALLY_H
#define AWA_BENCH_TALLY_H

#include <pthread.h>
#include <stdatomic.h>

#include "bench/samples.h"
#include "pg/pg.h"

enum { TALLY_MAX = 1 << 27 }; /* jobs */

struct mark {
    atomic_int_least64_t sent_us;    /* just before its COMMIT was sent */
    atomic_uint_least32_t pickup_us; /* from then to its handler, plus 1; 0: not yet */
    atomic_uint_least32_t e2e_us;    /* from then to its durable end, plus 1; 0: not yet */
    atomic_uint_least16_t runs;
    atomic_bool committed;
};

struct tally {
    struct mark *marks; /* TALLY_MAX of them, memory comes when touched */
    atomic_int_least64_t committed, ran;
    atomic_int_least64_t durable; /* jobs whose completion is durable */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t room;  /* durable has grown, or closed */
    int64_t issued;       /* numbers given out */
    bool closed;          /* no more are given out */
};

/* What is wrong at the end. */
struct tally_balance {
    int64_t lost;       /* committed and never run */
    int64_t duplicated; /* runs too many */
};

awa_status tally_init(struct tally *t, awa_error *err) AWA_CHECKED;
void tally_done(struct tally *t);

/*
 * Takes up to n numbers, fewer when `limit` is near (0: no limit). With a depth, waits until n more
 * jobs may be on their way. Returns how many numbers it took; 0: there are no more.
 */
int64_t tally_take(struct tally *t, int64_t n, int64_t limit, int64_t depth, int64_t *ret_first);

/* Ends the numbers, and wakes producers that wait for some. */
void tally_close(struct tally *t);
bool tally_is_closed(struct tally *t);

/* Notes what happened to jobs; `us` is a time of clock_us(). */
void tally_sent(struct tally *t, int64_t first, int64_t n, int64_t us);
void tally_committed(struct tally *t, int64_t first, int64_t n);
void tally_ran(struct tally *t, int64_t number, int64_t us);
void tally_ended(struct tally *t, int64_t number, int64_t us);
void tally_durable(struct tally *t, int64_t total);

/* Counts all jobs as sent at this time. */
void tally_resend(struct tally *t, int64_t us);

struct tally_balance tally_balance(struct tally *t);

/* The times of jobs that were sent in [from, to). */
void tally_latencies(struct tally *t, int64_t from, int64_t to, struct samples *pickup,
                     struct samples *e2e);

#endif
