/* SPDX-License-Identifier: MIT */
/* Lines from a descriptor, each with a limit; a longer one is passed over without keeping it. */
#ifndef AWA_CLI_LINES_H
#define AWA_CLI_LINES_H

#include <stdbool.h>

#include "pg/pg.h"

struct lines {
    int fd;
    int stop; /* readable: read no more; -1: there is no such descriptor */
    char *data;
    size_t start, scanned, end; /* in data: the line begins; no line feed before; it is filled */
    int64_t number;             /* of the line that came last, from 1 */
    int64_t bytes;              /* read so far */
    bool at_end;                /* of the file */
    bool skipping;              /* the rest of a line that is too long */
};

enum { LINE_MAX_BYTES = 2 * 1024 * 1024 };

enum lines_got {
    LINES_ONE,      /* a line, without its line feed */
    LINES_TOO_LONG, /* a line of more than LINE_MAX_BYTES; it is gone */
    LINES_END,      /* no more */
    LINES_LATER,    /* nothing more came in time; call again */
    LINES_STOPPED,  /* there may be more, but `stop` is readable */
    LINES_BROKEN,   /* see errno */
};

awa_status lines_init(struct lines *l, int fd, awa_error *err) AWA_CHECKED;
void lines_done(struct lines *l);

/*
 * The next line, which may hold any bytes; borrowed until the next call. Waits for it until that
 * time on the monotonic clock, in ms; LINES_PATIENT: as long as it takes.
 */
enum { LINES_PATIENT = -1 };
enum lines_got lines_next(struct lines *l, int64_t until, const char **ret_line, size_t *ret_len);

static inline void
auto_lines(struct lines *l)
{
    lines_done(l);
}

#endif
