/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <locale.h>
#include <string.h>

#include "cli/table.h"

enum { TEXT = 25, INT8 = 20 }; /* type numbers */

/* Two columns, a text and a number, and one row. */
static PGresult *
one_row(const char *text, const char *number)
{
    PGresAttDesc columns[] = {
        { .name = (char[]){ "queue" }, .typid = TEXT },
        { .name = (char[]){ "n" }, .typid = INT8 },
    };
    PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);

    assert_non_null(res);
    assert_true(PQsetResultAttrs(res, 2, columns));
    assert_true(PQsetvalue(res, 0, 0, (char *)(uintptr_t)text, (int)strlen(text)));
    assert_true(PQsetvalue(res, 0, 1, (char *)(uintptr_t)number, (int)strlen(number)));
    return res;
}

static void
expect(const char *text, const char *number, int width, const char *want)
{
    AUTO(pgresult) PGresult *res = one_row(text, number);
    AUTO(free) char *got = NULL;
    size_t size;
    FILE *out = open_memstream(&got, &size);

    assert_non_null(out);
    table_print(out, res, PQnfields(res), width, false);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(got, want);
}

static void
columns_are_aligned_numbers_to_the_right(void **state)
{
    (void)state;
    expect("mail", "12", 0, "queue   n\nmail   12\n");
    expect("a long name", "1", 0, "queue        n\na long name  1\n");
}

static void
a_character_counts_as_wide_as_it_is_shown(void **state)
{
    (void)state;
    expect("\xc3\xa4\xc3\xb6\xc3\xbc", "1", 0, "queue  n\n\xc3\xa4\xc3\xb6\xc3\xbc    1\n");
    expect("\xe4\xb8\xad\xe6\x96\x87", "1", 0, "queue  n\n\xe4\xb8\xad\xe6\x96\x87   1\n");
}

static void
a_long_cell_is_cut_on_a_terminal_only(void **state)
{
    (void)state;
    expect("0123456789", "1", 0, "queue       n\n0123456789  1\n");
    expect("0123456789", "1", 10, "queue    n\n012345\xe2\x80\xa6  1\n");
    expect("0123456789", "1", 1, "queue  n\n0123\xe2\x80\xa6  1\n");
}

static void
a_number_is_never_cut(void **state)
{
    (void)state;
    expect("0123456789", "1234567", 14, "queue        n\n0123\xe2\x80\xa6  1234567\n");
    expect("01234", "1234567", 1, "queue        n\n01234  1234567\n");
}

static void
a_cell_cannot_move_the_cursor(void **state)
{
    (void)state;
    expect("a\nb\tc", "1", 0, "queue  n\na b c  1\n");
    expect("\033[2J", "1", 0, "queue  n\n\xef\xbf\xbd[2J   1\n");
    expect("\xc2\x9b"
           "2J",
           "1", 0,
           "queue  n\n\xef\xbf\xbd"
           "2J    1\n");
    expect("\xe2\x80\xaexe", "1", 0, "queue  n\n\xef\xbf\xbdxe    1\n");
}

static void
bytes_that_are_not_utf8_are_shown_as_such(void **state)
{
    (void)state;
    expect("\xff\xfe", "1", 0, "queue  n\n\xef\xbf\xbd\xef\xbf\xbd     1\n");
    expect("ab\xe2\x82", "1", 0, "queue  n\nab\xef\xbf\xbd\xef\xbf\xbd   1\n");
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(columns_are_aligned_numbers_to_the_right),
        TEST(a_character_counts_as_wide_as_it_is_shown),
        TEST(a_long_cell_is_cut_on_a_terminal_only),
        TEST(a_number_is_never_cut),
        TEST(a_cell_cannot_move_the_cursor),
        TEST(bytes_that_are_not_utf8_are_shown_as_such),
    };

    setlocale(LC_CTYPE, "C.UTF-8");
    return TEST_RUN(tests);
}
