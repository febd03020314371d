/* SPDX-License-Identifier: MIT */
/* See tail.h. After each `max` bytes that come, the last `max` bytes are moved to the front. */
#include "run/tail.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void
drop_old(struct tail *t)
{
    if (t->len <= t->max)
        return;
    memmove(t->data, t->data + t->len - t->max, t->max);
    t->len = t->max;
    t->cut = true;
}

bool
tail_read(struct tail *t, int fd)
{
    char waste[4096];
    ssize_t n;

    if (t->data == NULL)
        t->data = malloc(2 * t->max + 1);
    drop_old(t);
    if (t->data != NULL)
        n = read(fd, t->data + t->len, 2 * t->max - t->len);
    else
        n = read(fd, waste, sizeof waste); /* the writer must not wait for us */
    if (n > 0 && t->data != NULL)
        t->len += (size_t)n;
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

/* Drops the end of a character whose beginning was cut off: at most three bytes. */
static void
drop_part(struct tail *t)
{
    size_t n = 0;

    while (n < 3 && n < t->len && ((unsigned char)t->data[n] & 0xc0) == 0x80)
        n++;
    memmove(t->data, t->data + n, t->len - n);
    t->len -= n;
}

const char *
tail_text(struct tail *t, size_t *ret_len)
{
    *ret_len = 0;
    if (t->data == NULL)
        return "";
    drop_old(t);
    if (t->cut)
        drop_part(t);
    for (size_t i = 0; i < t->len; i++)
        if (t->data[i] == '\0')
            t->data[i] = '?';
    t->data[t->len] = '\0';
    *ret_len = t->len;
    return t->data;
}

void
tail_done(struct tail *t)
{
    free(t->data);
    *t = (struct tail){ .max = t->max };
}
