/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <string.h>

#include "base/complaints.h"

static struct complaints all;

static int
forget(void **state)
{
    (void)state;
    all = (struct complaints){ 0 };
    return 0;
}

/* How often it came since it was said; -1: it is not said now. */
static int64_t
hear(const char *line, int64_t now)
{
    int64_t unsaid = -2;

    return complaints_hear(&all, line, now, &unsaid) ? unsaid : -1;
}

static void
the_same_line_is_said_once_a_minute(void **state)
{
    (void)state;
    assert_int_equal(hear("claim: no", 1000), 0);
    for (int64_t now = 1000; now < 1000 + COMPLAINTS_MS; now += 1000)
        assert_int_equal(hear("claim: no", now), -1);
    assert_int_equal(hear("claim: no", 1000 + COMPLAINTS_MS), COMPLAINTS_MS / 1000);
    assert_int_equal(hear("claim: no", 1001 + COMPLAINTS_MS), -1);
    assert_int_equal(hear("claim: no", 1000 + 3 * COMPLAINTS_MS), 1);
}

static void
different_lines_are_said_each(void **state)
{
    (void)state;
    assert_int_equal(hear("claim: no", 1), 0);
    assert_int_equal(hear("claim: now", 2), 0);
    assert_int_equal(hear("claim", 3), 0);
    assert_int_equal(hear("claim: no", 4), -1);
    assert_int_equal(hear("claim: now", 5), -1);
}

static void
the_line_heard_longest_ago_is_forgotten(void **state)
{
    char line[] = "0";

    (void)state;
    for (; line[0] < '0' + COMPLAINTS_KEPT; line[0]++)
        assert_int_equal(hear(line, line[0]), 0);
    assert_int_equal(hear("0", 1000), -1);
    assert_int_equal(hear("one more", 1001), 0); /* in the place of 1 */
    assert_int_equal(hear("0", 1002), -1);
    assert_int_equal(hear("2", 1003), -1);
    assert_int_equal(hear("1", 1004), 0);
}

static void
lines_that_begin_alike_beyond_all_length_are_one(void **state)
{
    char line[1000];

    (void)state;
    memset(line, 'x', sizeof line - 1);
    line[sizeof line - 1] = '\0';
    assert_int_equal(hear(line, 1), 0);
    line[sizeof line - 2] = 'y';
    assert_int_equal(hear(line, 2), -1);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_same_line_is_said_once_a_minute, forget),
        cmocka_unit_test_setup(different_lines_are_said_each, forget),
        cmocka_unit_test_setup(the_line_heard_longest_ago_is_forgotten, forget),
        cmocka_unit_test_setup(lines_that_begin_alike_beyond_all_length_are_one, forget),
    };

    return TEST_RUN(tests);
}
