/* SPDX-License-Identifier: MIT */
/* The last bytes of a stream that comes in pieces: the same as of one that comes at once. */
#include "fuzz.h"

#include <fcntl.h>
#include <string.h>

#include "run/tail.h"

enum { MAX = 40 };

static void
read_all(struct tail *t, int fd)
{
    size_t before;

    do {
        before = t->len;
        REQUIRE(tail_read(t, fd));
        REQUIRE(t->len <= 2 * t->max);
    } while (t->len != before);
}

/* In pieces, whose lengths come out of the data itself; a few of them wait until they are read. */
static void
stream(struct tail *t, const uint8_t *data, size_t size)
{
    int ends[2];

    REQUIRE(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
    while (size > 0) {
        size_t piece = 1 + data[0] % 97;

        piece = piece < size ? piece : size;
        REQUIRE(write(ends[1], data, piece) == (ssize_t)piece);
        if (data[0] % 3 > 0)
            read_all(t, ends[0]);
        data += piece;
        size -= piece;
        if (data[-1] % 3 == 0)
            read_all(t, ends[0]);
    }
    (void)close(ends[1]);
    while (tail_read(t, ends[0]))
        ;
    (void)close(ends[0]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tail t = { .max = MAX };
    size_t first = size > MAX ? size - MAX : 0, len;
    const char *text;

    if (size > 60000) /* all of it fits into a pipe */
        return 0;
    stream(&t, data, size);
    text = tail_text(&t, &len);
    for (int i = 0; i < 3 && first > 0 && first < size && (data[first] & 0xc0) == 0x80; i++)
        first++; /* the rest of a character that was cut */
    REQUIRE(t.cut == (size > MAX));
    REQUIRE(len == size - first && strlen(text) == len);
    for (size_t i = 0; i < len; i++)
        REQUIRE((uint8_t)text[i] == (data[first + i] == 0 ? '?' : data[first + i]));
    tail_done(&t);
    REQUIRE(t.data == NULL && t.len == 0 && t.max == MAX);
    return 0;
}
