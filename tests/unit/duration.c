/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <string.h>

#include "cli/duration.h"

static void
every_unit_is_understood(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {
        { "0ms", 0 },
        { "500ms", 500 },
        { "5s", 5000 },
        { "2m", 120000 },
        { "1h", 3600000 },
        { "3d", 259200000 },
        { "007s", 7000 },
        { "9223372036854775807ms", INT64_MAX },
        { "9223372036854775s", 9223372036854775000 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t ms = -1;
        awa_error err;

        test_ok(awa__duration_parse(cases[i].text, strlen(cases[i].text), &ms, &err), &err);
        if (ms != cases[i].ms)
            fail_msg("%s: got %jd", cases[i].text, (intmax_t)ms);
    }
}

static void
anything_else_is_refused_and_nothing_is_written(void **state)
{
    static const char *const cases[] = {
        "",
        "5",
        "s",
        "-5s",
        "+5s",
        " 5s",
        "5 s",
        "5s ",
        "5sec",
        "1.5s",
        "5S",
        "1h30m",
        "5ss",
        "0x5s",
        "9223372036854775808ms",
        "9223372036854776s",
        "99999999999999999999d",
        "5\xc2\xb5s",
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t ms = -1;
        awa_error err = { 0 };

        if (awa__duration_parse(cases[i], strlen(cases[i]), &ms, &err) != AWA_EINVAL || ms != -1)
            fail_msg("'%s' was taken as %jd", cases[i], (intmax_t)ms);
        assert_int_equal(err.status, AWA_EINVAL);
    }
}

static void
the_length_counts_not_a_nul(void **state)
{
    int64_t ms = -1;
    awa_error err;

    (void)state;
    test_ok(awa__duration_parse("5security", 2, &ms, &err), &err);
    assert_int_equal(ms, 5000);
    assert_int_equal(awa__duration_parse("5s\0", 3, &ms, &err), AWA_EINVAL);
}

static void
a_number_without_a_unit_is_told_so(void **state)
{
    int64_t ms;
    awa_error err;

    (void)state;
    assert_int_equal(awa__duration_parse("30", 2, &ms, &err), AWA_EINVAL);
    assert_string_equal(err.message, "duration: '30' lacks a unit: ms, s, m, h or d");
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(every_unit_is_understood),
        TEST(anything_else_is_refused_and_nothing_is_written),
        TEST(the_length_counts_not_a_nul),
        TEST(a_number_without_a_unit_is_told_so),
    };

    return TEST_RUN(tests);
}
