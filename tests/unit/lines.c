/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>

#include "cli/lines.h"

/* What a file holds, from a thread of its own: a pipe takes only a part of it at once. */
struct text {
    int fd;
    const char *data;
    size_t len;
    size_t chunk; /* bytes written at once */
};

static void *
write_text(void *arg)
{
    struct text *t = arg;

    while (t->len > 0) {
        size_t n = t->len < t->chunk ? t->len : t->chunk;
        ssize_t written = write(t->fd, t->data, n);

        if (written <= 0)
            break;
        t->data += written;
        t->len -= (size_t)written;
    }
    (void)close(t->fd);
    return NULL;
}

/* What comes out, one letter for each line: its length, or `!` for one that is too long. */
static void
read_all(struct lines *l, char *to, size_t size)
{
    const char *line;
    size_t len, n = 0;
    enum lines_got got;

    while ((got = lines_next(l, LINES_PATIENT, &line, &len)) != LINES_END) {
        assert_true(n + 24 < size);
        if (got == LINES_TOO_LONG)
            n += (size_t)snprintf(to + n, size - n, "! ");
        else
            n += (size_t)snprintf(to + n, size - n, "%zu ", len);
        assert_true(got == LINES_ONE || got == LINES_TOO_LONG);
    }
    to[n > 0 ? n - 1 : 0] = '\0';
}

static void
expect(const char *data, size_t len, size_t chunk, const char *want, int64_t lines)
{
    struct text text = { .data = data, .len = len, .chunk = chunk };
    AUTO(lines) struct lines l = { 0 };
    AUTO(fd) int from = -1;
    char got[400] = "";
    pthread_t writer;
    int ends[2];
    awa_error err;

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    from = ends[0];
    text.fd = ends[1];
    assert_int_equal(pthread_create(&writer, NULL, write_text, &text), 0);
    test_ok(lines_init(&l, from, &err), &err);
    read_all(&l, got, sizeof got);
    pthread_join(writer, NULL);
    assert_string_equal(got, want);
    assert_int_equal(l.number, lines);
    assert_int_equal(l.bytes, len);
}

static void
lines_come_one_by_one(void **state)
{
    static const struct {
        const char *text, *want;
        int64_t lines;
    } cases[] = {
        { "", "", 0 },       { "\n", "0", 1 },        { "a", "1", 1 },
        { "a\n", "1", 1 },   { "a\nbc\n", "1 2", 2 }, { "a\n\n\nbc", "1 0 0 2", 4 },
        { "a\r\n", "2", 1 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        expect(cases[i].text, strlen(cases[i].text), 1, cases[i].want, cases[i].lines);
        expect(cases[i].text, strlen(cases[i].text), 1000, cases[i].want, cases[i].lines);
    }
    expect("a\0b\nc", 5, 1000, "3 1", 2);
}

/* A line of n bytes, one of three, and, if `feed`, the end of the last line. */
static char *
long_text(size_t n, bool feed, size_t *ret_len)
{
    char *text = malloc(n + 5);

    assert_non_null(text);
    memset(text, 'x', n + 4);
    text[n] = '\n';
    text[n + 4] = '\n';
    *ret_len = n + 4 + feed;
    return text;
}

static void
a_line_that_is_too_long_is_passed_over(void **state)
{
    static const struct {
        size_t len;
        const char *want;
    } cases[] = {
        { LINE_MAX_BYTES - 1, "2097151 3" },    { LINE_MAX_BYTES, "2097152 3" },
        { LINE_MAX_BYTES + 1, "! 3" },          { 3 * LINE_MAX_BYTES, "! 3" },
        { 10 * LINE_MAX_BYTES + 12345, "! 3" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (int feed = 0; feed < 2; feed++) {
            size_t len;
            AUTO(free) char *text = long_text(cases[i].len, feed != 0, &len);

            expect(text, len, 50000, cases[i].want, 2);
        }
}

static void
a_last_line_may_be_too_long(void **state)
{
    AUTO(free) char *text = calloc(1, 3 * LINE_MAX_BYTES);

    (void)state;
    assert_non_null(text);
    expect(text, 3 * LINE_MAX_BYTES, 50000, "!", 1);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(lines_come_one_by_one),
        TEST(a_line_that_is_too_long_is_passed_over),
        TEST(a_last_line_may_be_too_long),
    };

    return TEST_RUN(tests);
}
