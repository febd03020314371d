/* SPDX-License-Identifier: MIT */
/* See lines.h. */
#include "cli/lines.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "base/clock.h"

enum {
    READ_MIN = 64 * 1024,                 /* room for a read(2) */
    ROOM = LINE_MAX_BYTES + 4 * READ_MIN, /* pages that are not used cost no memory */
};

awa_status
lines_init(struct lines *l, int fd, awa_error *err)
{
    *l = (struct lines){ .fd = fd, .stop = -1, .data = malloc(ROOM) };
    return l->data != NULL ? AWA_OK : awa__fail(err, AWA_ENOMEM, "lines: out of memory");
}

void
lines_done(struct lines *l)
{
    free(TAKE(l->data));
}

/* Makes room behind what was read. Drops a line that is too long already. */
static void
make_room(struct lines *l)
{
    if (l->end - l->start > LINE_MAX_BYTES) {
        l->skipping = true;
        l->start = l->end;
    }
    if (l->skipping || ROOM - l->end < READ_MIN) {
        memmove(l->data, l->data + l->start, l->end - l->start);
        l->end -= l->start;
        l->scanned = l->end;
        l->start = 0;
    }
}

/* LINES_ONE: there is something to read, or the end, or an error. */
static enum lines_got
await(const struct lines *l, int64_t until)
{
    struct pollfd fds[] = { { .fd = l->fd, .events = POLLIN },
                            { .fd = l->stop, .events = POLLIN } };
    int64_t now = clock_ms();
    int left = until == LINES_PATIENT ? -1 : until > now ? (int)(until - now) : 0;
    int n = poll(fds, 2, left);

    if (n < 0 && errno != EINTR)
        return LINES_BROKEN;
    if (n > 0 && fds[1].revents != 0)
        return LINES_STOPPED;
    return n > 0 ? LINES_ONE : LINES_LATER;
}

/* Reads once. LINES_ONE: there is more to look at. */
static enum lines_got
fill(struct lines *l, int64_t until)
{
    enum lines_got got = await(l, until);
    ssize_t n;

    if (got != LINES_ONE)
        return got;
    make_room(l);
    n = read(l->fd, l->data + l->end, ROOM - l->end);
    if (n < 0)
        return errno == EINTR ? LINES_LATER : LINES_BROKEN;
    if (n == 0)
        l->at_end = true;
    l->end += (size_t)n;
    l->bytes += n;
    return LINES_ONE;
}

/* Takes the bytes up to `to` as a line. */
static enum lines_got
take(struct lines *l, size_t to, const char **ret_line, size_t *ret_len)
{
    bool fits = !l->skipping && to - l->start <= LINE_MAX_BYTES;

    *ret_line = l->data + l->start;
    *ret_len = to - l->start;
    l->number++;
    l->skipping = false;
    l->start = l->scanned = to < l->end ? to + 1 : to;
    return fits ? LINES_ONE : LINES_TOO_LONG;
}

enum lines_got
lines_next(struct lines *l, int64_t until, const char **ret_line, size_t *ret_len)
{
    for (;;) {
        const char *feed = memchr(l->data + l->scanned, '\n', l->end - l->scanned);
        enum lines_got got;

        if (feed != NULL)
            return take(l, (size_t)(feed - l->data), ret_line, ret_len);
        l->scanned = l->end;
        if (l->at_end && l->start == l->end && !l->skipping)
            return LINES_END;
        if (l->at_end)
            return take(l, l->end, ret_line, ret_len);
        got = fill(l, until);
        if (got != LINES_ONE)
            return got;
    }
}
