/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <fcntl.h>
#include <string.h>

#include "run/tail.h"

enum { MAX = 8 };

/* Feeds the texts one by one, and compares what is left of them. */
static void
expect(const char *const *texts, const char *want, bool cut)
{
    struct tail t = { .max = MAX };
    int ends[2];
    size_t len;

    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    for (; *texts != NULL; texts++) {
        assert_int_equal(write(ends[1], *texts, strlen(*texts)), strlen(*texts));
        for (int i = 0; i < 10; i++)
            assert_true(tail_read(&t, ends[0]));
    }
    (void)close(ends[1]);
    assert_false(tail_read(&t, ends[0]));
    (void)close(ends[0]);
    assert_string_equal(tail_text(&t, &len), want);
    assert_int_equal(len, strlen(want));
    assert_int_equal(t.cut, cut);
    tail_done(&t);
}

#define EXPECT(want, cut, ...) expect((const char *const[]){ __VA_ARGS__, NULL }, want, cut)

static void
the_last_bytes_are_kept(void **state)
{
    (void)state;
    EXPECT("", false, "");
    EXPECT("abc", false, "abc");
    EXPECT("abcdef", false, "abc", "def");
    EXPECT("12345678", false, "1234", "5678");
    EXPECT("23456789", true, "12345678", "9");
    EXPECT("stuvwxyz", true, "abcdefghijklmnopqrstuvwxyz");
    EXPECT("stuvwxyz", true, "abcdefghij", "klmnopq", "rstuvwxy", "z");
}

static void
a_character_that_was_cut_is_left_out(void **state)
{
    (void)state;
    EXPECT("1234567", true,
           "\xc3\xa4"
           "1234567"); /* ä */
    EXPECT("123456", true,
           "\xe2\x82\xac"
           "123456"); /* € */
    EXPECT("\xe2\x82\xac"
           "12345",
           true,
           "x\xe2\x82\xac"
           "12345"); /* whole */
}

static void
a_nul_is_shown_as_a_question_mark(void **state)
{
    struct tail t = { .max = MAX };
    int ends[2];
    size_t len;

    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    assert_int_equal(write(ends[1], "a\0b", 3), 3);
    assert_true(tail_read(&t, ends[0]));
    assert_string_equal(tail_text(&t, &len), "a?b");
    assert_int_equal(len, 3);
    tail_done(&t);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(the_last_bytes_are_kept),
        TEST(a_character_that_was_cut_is_left_out),
        TEST(a_nul_is_shown_as_a_question_mark),
    };

    return TEST_RUN(tests);
}
