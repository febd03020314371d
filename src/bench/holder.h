/* SPDX-License-Identifier: MIT */
/*
 * What other people may do beside a bench: a session that keeps an old snapshot, a producer that
 * has inserted a job and does not commit, and a transaction of another database that has only an
 * id.
 */
#ifndef AWA_BENCH_HOLDER_H
#define AWA_BENCH_HOLDER_H

#include "bench/plan.h"

struct holder {
    PGconn *reader, *writer; /* NULL: nobody */
};

/* How many sessions this opens in the bench's own database. */
int holder_sessions(enum hold hold);

awa_status holder_init(struct holder *h, enum hold hold, const char *conninfo,
                       awa_error *err) AWA_CHECKED;

/* Fails unless all of these sessions are still there: a measurement without them does not count. */
awa_status holder_check(const struct holder *h, awa_error *err) AWA_CHECKED;
void holder_done(struct holder *h);

static inline void
auto_holder(struct holder *h)
{
    holder_done(h);
}

#endif
