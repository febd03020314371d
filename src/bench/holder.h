/* SPDX-License-Identifier: MIT */
/*
 * What other people do to a database: a session that keeps an old snapshot, and a producer that
 * has inserted a job and does not commit.
 */
#ifndef AWA_BENCH_HOLDER_H
#define AWA_BENCH_HOLDER_H

#include "lib/internal.h"

enum { HOLDER_SESSIONS = 2 };

struct holder {
    PGconn *reader, *writer;
};

awa_status holder_init(struct holder *h, const char *conninfo, awa_error *err) AWA_CHECKED;

/* Both must still be there: what was measured without them does not count. */
awa_status holder_check(const struct holder *h, awa_error *err) AWA_CHECKED;
void holder_done(struct holder *h);

static inline void
auto_holder(struct holder *h)
{
    holder_done(h);
}

#endif
