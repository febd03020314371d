/* SPDX-License-Identifier: MIT */
/* A set of positions as Postgres writes it: {[1,5),[7,9)}. */
#ifndef AWA_RANGES_H
#define AWA_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ranges {
    struct range {
        int64_t low, end; /* end is not in it */
    } * list;             /* ascending */
    size_t n;
};

/* False: out of memory, or the text is no int8multirange in canonical form. */
bool ranges_parse(struct ranges *r, const char *text);
void ranges_done(struct ranges *r);
bool ranges_contain(const struct ranges *r, int64_t pos);

#endif
