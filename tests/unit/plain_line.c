/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <string.h>

#include "cli/plain_line.h"

static void
a_line_of_plain_words_needs_no_shell(void **state)
{
    static const char *const without[] = {
        "./resize.sh", "sleep 0.3",      "  a\tb  ",        "/usr/bin/env A=b c",
        "true-ish",    "python3 -m a.b", "a@b +x %y z:1,2",
    };
    static const char *const with[] = {
        "",         "   ",        "sleep 1; echo x",
        "a|b",      "a&",         "a >b",
        "a<b",      "A=b c",      "exit 3",
        " cd /tmp", ": x",        ". file",
        "echo x",   "a 'b c'",    "a \"b\"",
        "a $B",     "a `b`",      "a *.c",
        "a ?",      "a [b]",      "~/a",
        "a ~",      "a \\b",      "{ a; }",
        "a {b,c}",  "!a",         "a\nb",
        "a #b",     "while true", "a \xc3\xa4",
        "(a)",      "ulimit",     "trap",
        "exec a",   "if",
    };

    (void)state;
    for (size_t i = 0; i < sizeof without / sizeof without[0]; i++)
        if (!plain_line(without[i]))
            fail_msg("not plain: %s", without[i]);
    for (size_t i = 0; i < sizeof with / sizeof with[0]; i++)
        if (plain_line(with[i]))
            fail_msg("plain: %s", with[i]);
}

static void
it_is_cut_at_blanks(void **state)
{
    char line[] = " \ta  bc\td ", *rest = line;

    (void)state;
    assert_string_equal(plain_line_next(&rest), "a");
    assert_string_equal(plain_line_next(&rest), "bc");
    assert_string_equal(plain_line_next(&rest), "d");
    assert_null(plain_line_next(&rest));
    assert_null(plain_line_next(&rest));
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(a_line_of_plain_words_needs_no_shell),
        TEST(it_is_cut_at_blanks),
    };

    return TEST_RUN(tests);
}
