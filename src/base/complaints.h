/* SPDX-License-Identifier: MIT */
/*
 * A complaint that comes again and again, in the same words, is said once a minute. One thread owns
 * it.
 */
#ifndef AWA_COMPLAINTS_H
#define AWA_COMPLAINTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    COMPLAINTS_KEPT = 8, /* different lines; the one that was heard longest ago is forgotten */
    COMPLAINTS_MS = 60000,
};

struct complaints {
    struct complaint {
        char line[300]; /* "": none */
        int64_t said_at, heard_at;
        int64_t unsaid; /* how often it was heard since it was said */
    } kept[COMPLAINTS_KEPT];
};

/*
 * Notes that a complaint came at the time `now`, in ms. Returns whether it should be said;
 * *ret_unsaid is then how often it came, unsaid, since it was last said.
 */
bool complaints_hear(struct complaints *c, const char *line, int64_t now, int64_t *ret_unsaid);

#endif
