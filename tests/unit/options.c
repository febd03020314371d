/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "lib/options.h"

/* A struct as three releases knew it. */
struct old {
    size_t size;
    int64_t a;
};

struct current {
    size_t size;
    int64_t a, b;
};

struct newer {
    size_t size;
    int64_t a, b, c;
};

static void
an_old_caller_gets_defaults_for_what_it_does_not_know(void **state)
{
    struct current to = { 1, 2, 3 };

    (void)state;
    assert_true(awa__options_read(&to, sizeof to, &(struct old){ sizeof(struct old), 7 },
                                  sizeof(struct old)));
    assert_int_equal(to.a, 7);
    assert_int_equal(to.b, 0);
}

static void
a_newer_caller_is_fine_while_it_sets_nothing_new(void **state)
{
    struct newer from = { sizeof from, 7, 8, 0 };
    struct current to;

    (void)state;
    assert_true(awa__options_read(&to, sizeof to, &from, sizeof from));
    assert_int_equal(to.a, 7);
    assert_int_equal(to.b, 8);
}

static void
an_unknown_setting_is_refused_and_nothing_is_written(void **state)
{
    struct newer from = { sizeof from, 7, 8, 9 };
    struct current to = { 1, 2, 3 };

    (void)state;
    assert_false(awa__options_read(&to, sizeof to, &from, sizeof from));
    assert_int_equal(to.a, 2);
}

static void
a_size_that_cannot_be_is_refused(void **state)
{
    static const size_t sizes[] = { 0, 1, sizeof(size_t) - 1, 4097, SIZE_MAX };
    static const char zeros[5000];
    struct current to;

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        if (awa__options_read(&to, sizeof to, zeros, sizes[i]))
            fail_msg("size %zu was taken", sizes[i]);
    assert_false(awa__options_read(&to, sizeof to, NULL, sizeof to));
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(an_old_caller_gets_defaults_for_what_it_does_not_know),
        TEST(a_newer_caller_is_fine_while_it_sets_nothing_new),
        TEST(an_unknown_setting_is_refused_and_nothing_is_written),
        TEST(a_size_that_cannot_be_is_refused),
    };

    return TEST_RUN(tests);
}
