/* SPDX-License-Identifier: MIT */
/* Lines that come in pieces, some of them too long. A byte 1 stands for 512 KiB of `x`. */
#include "fuzz.h"

#include <fcntl.h>
#include <string.h>

#include "cli/lines.h"

enum { LONG = 512 * 1024, ALL_MAX = 10 * LONG, PIPE_BYTES = 1024 * 1024 };

/* The input with its long runs. */
static char *
expand(const uint8_t *data, size_t size, size_t *ret_len)
{
    char *text = malloc(ALL_MAX + size + 1);
    size_t n = 0;

    REQUIRE(text != NULL);
    for (size_t i = 0; i < size; i++)
        if (data[i] == 1 && n < ALL_MAX - LONG) {
            memset(text + n, 'x', LONG);
            n += LONG;
        } else {
            text[n++] = (char)data[i];
        }
    *ret_len = n;
    return text;
}

/* What is read next must be the line at *at, which it moves on. False: there is no more yet. */
static bool
check_next(struct lines *l, const char *text, size_t len, size_t *at)
{
    const char *line, *feed;
    size_t got_len, want;
    enum lines_got got = lines_next(l, 0, &line, &got_len);

    if (got == LINES_LATER)
        return false;
    if (got == LINES_END) {
        REQUIRE(*at == len && l->bytes == (int64_t)len);
        return false;
    }
    REQUIRE(*at < len);
    feed = memchr(text + *at, '\n', len - *at);
    want = feed != NULL ? (size_t)(feed - text) - *at : len - *at;
    REQUIRE(got == (want > LINE_MAX_BYTES ? LINES_TOO_LONG : LINES_ONE));
    REQUIRE(got == LINES_TOO_LONG || (got_len == want && memcmp(line, text + *at, want) == 0));
    *at += want + (feed != NULL);
    return true;
}

/* Writes all of it, in pieces; in between, everything is read that is there. */
static void
check_stream(const char *text, size_t len)
{
    AUTO(lines) struct lines l = { 0 };
    size_t written = 0, at = 0, piece = 1;
    int64_t number = 0;
    int ends[2];
    awa_error err;

    REQUIRE(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
    (void)fcntl(ends[1], F_SETPIPE_SZ, PIPE_BYTES);
    REQUIRE(lines_init(&l, ends[0], &err) == AWA_OK);
    while (written < len) {
        size_t left = len - written;
        ssize_t n = write(ends[1], text + written, piece < left ? piece : left);

        REQUIRE(n > 0);
        written += (size_t)n;
        piece = piece * 7 % 1000003;
        while (check_next(&l, text, len, &at))
            REQUIRE(l.number == ++number);
    }
    (void)close(ends[1]);
    while (check_next(&l, text, len, &at))
        REQUIRE(l.number == ++number);
    REQUIRE(at == len && l.bytes == (int64_t)len);
    (void)close(ends[0]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t len;
    AUTO(free) char *text = expand(data, size, &len);

    check_stream(text, len);
    return 0;
}
