/* SPDX-License-Identifier: MIT */
/* An attempt, and statements in its name. Chaos uses it as well, so it knows nothing of cmocka. */
#ifndef AWA_ATTEMPT_H
#define AWA_ATTEMPT_H

#include <stddef.h>
#include <stdint.h>

/* A claimed job, by which its worker ends it. */
struct attempt {
    int64_t worker, id, claim, pos;
    int slot, number; /* number: 1, 2, ... */
};

/*
 * A text in which <worker>, <slot>, <claim>, <pos> and <id> stand for those of an attempt, and
 * <run> for its position as a multirange. What does not fit into ret is cut off; returns ret.
 */
const char *attempt_sql(char *ret, size_t size, const char *text, const struct attempt *a);

#endif
