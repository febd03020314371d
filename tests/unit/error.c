/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <errno.h>
#include <string.h>

static void
every_status_has_a_sentence(void **state)
{
    (void)state;
    for (int status = AWA_OK; status <= AWA_ESYS; status++) {
        assert_true(strlen(awa_status_text((awa_status)status)) > 0);
        assert_string_not_equal(awa_status_text((awa_status)status), "unknown status");
    }
    assert_string_equal(awa_status_text((awa_status)(AWA_ESYS + 1)), "unknown status");
    assert_string_equal(awa_status_text((awa_status)-1), "unknown status");
}

static void
the_library_says_the_version_of_the_build(void **state)
{
    (void)state;
    assert_string_equal(awa_version(), PROJECT_VERSION);
    assert_string_equal(AWA_VERSION, PROJECT_VERSION);
}

static void
a_failure_fills_the_error_and_returns_the_status(void **state)
{
    awa_error err = { .status = AWA_EDB, .sqlstate = "23505", .message = "before" };

    (void)state;
    assert_int_equal(awa__fail(&err, AWA_EBUSY, "pool: %d threads", 7), AWA_EBUSY);
    assert_int_equal(err.status, AWA_EBUSY);
    assert_string_equal(err.sqlstate, "");
    assert_string_equal(err.message, "pool: 7 threads");
    assert_int_equal(awa__fail(NULL, AWA_EBUSY, "pool: %d threads", 7), AWA_EBUSY);
}

static void
the_old_message_may_be_part_of_the_new_one(void **state)
{
    awa_error err = { .message = "no route" };

    (void)state;
    (void)awa__fail(&err, AWA_ECONN, "connect: %s", err.message);
    assert_string_equal(err.message, "connect: no route");
}

static void
a_message_is_one_line(void **state)
{
    awa_error err;

    (void)state;
    (void)awa__fail(&err, AWA_EDB, "a\nb\tc\033[31md\x7f");
    assert_string_equal(err.message, "a b c [31md ");
}

static void
errno_is_a_part_of_the_message(void **state)
{
    awa_error err;

    (void)state;
    errno = ENOENT;
    (void)awa__fail(&err, AWA_ESYS, "exec: %m");
    assert_string_equal(err.message, "exec: No such file or directory");
}

/* 249 bytes fit. A character that does not fit as a whole is left out. */
static void
a_long_message_is_cut_between_characters(void **state)
{
    char text[400];
    awa_error err;

    (void)state;
    for (size_t plain = 240; plain < 256; plain++) {
        memset(text, 'x', plain);
        memcpy(text + plain, "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac", 13); /* euros */
        (void)awa__fail(&err, AWA_EDB, "%s", text);
        for (size_t i = 0, step; err.message[i] != '\0'; i += step) {
            step = err.message[i] == 'x' ? 1 : 3;
            if (strlen(err.message + i) < step)
                fail_msg("cut in a character after %zu bytes", plain);
        }
    }
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(every_status_has_a_sentence),
        TEST(the_library_says_the_version_of_the_build),
        TEST(a_failure_fills_the_error_and_returns_the_status),
        TEST(the_old_message_may_be_part_of_the_new_one),
        TEST(a_message_is_one_line),
        TEST(errno_is_a_part_of_the_message),
        TEST(a_long_message_is_cut_between_characters),
    };

    return TEST_RUN(tests);
}
