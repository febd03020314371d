/* SPDX-License-Identifier: MIT */
/* Reads lines from a descriptor. A line that is too long is skipped; memory stays bounded. */
#ifndef AWA_CLI_LINES_H
#define AWA_CLI_LINES_H

#include <stdbool.h>

#include "pg/pg.h"

struct lines {
    int fd;
    int stop; /* a descriptor that is readable when no more is to be read; -1: none */
    char *data;
    size_t start, scanned, end; /* in data: of the line; no line feed before; of what was read */
    int64_t number;             /* of the last line that was returned, from 1 */
    int64_t bytes;              /* read so far */
    bool at_end;                /* of the file */
    bool skipping;              /* the rest of a line that is too long */
};

enum { LINE_MAX_BYTES = 2 * 1024 * 1024 };

enum lines_got {
    LINES_ONE,      /* a line, without its line feed */
    LINES_TOO_LONG, /* a line of more than LINE_MAX_BYTES, which was dropped */
    LINES_END,      /* no more */
    LINES_LATER,    /* nothing more came in time; call again */
    LINES_STOPPED,  /* there may be more, but `stop` is readable */
    LINES_BROKEN,   /* see errno */
};

awa_status lines_init(struct lines *l, int fd, awa_error *err) AWA_CHECKED;
void lines_done(struct lines *l);

/*
 * Gives the next line, which may hold any bytes; borrowed until the next call. Waits for it until
 * the time `until`, monotonic ms; LINES_PATIENT: as long as it takes.
 */
enum { LINES_PATIENT = -1 };
enum lines_got lines_next(struct lines *l, int64_t until, const char **ret_line, size_t *ret_len);

static inline void
auto_lines(struct lines *l)
{
    lines_done(l);
}

#endif
