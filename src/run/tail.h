/* SPDX-License-Identifier: MIT */
/* Keeps the last bytes of a stream of any length. */
#ifndef AWA_TAIL_H
#define AWA_TAIL_H

#include <stdbool.h>
#include <stddef.h>

struct tail {
    size_t max; /* bytes to keep; set by the owner */
    char *data; /* len bytes; room for 2 * max and a NUL; NULL: nothing was read, or no memory */
    size_t len;
    bool cut; /* more came before */
};

/* Reads once from fd, which does not block. False: the stream has ended or failed. */
bool tail_read(struct tail *t, int fd);

/*
 * What was kept, as text: it begins with a whole character, and each NUL in it has become '?'.
 * Borrowed; "" if nothing was kept.
 */
const char *tail_text(struct tail *t, size_t *ret_len);

void tail_done(struct tail *t);

#endif
