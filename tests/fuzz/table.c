/* SPDX-License-Identifier: MIT */
/*
 * Foreign text on a terminal, as a table and as a record: nothing of it moves the cursor, and a
 * row stays on its line. Byte 0 is the number of columns, byte 1 the width; then cells, one on each
 * line; `\N` is NULL, and what comes in a column of numbers becomes its length.
 */
#include "fuzz.h"

#include <string.h>
#include <wchar.h>

#include "cli/glyph.h"
#include "cli/table.h"

enum {
    COLUMNS_MAX = 5,
    LEAST = COLUMNS_MAX * 7, /* the narrowest columns, with gaps */
    INT8_OID = 20,
    TEXT_OID = 25,
};

static PGresult *
make_rows(struct feed *f, int n)
{
    static char name[] = "name";
    static const Oid types[] = { TEXT_OID, INT8_OID, TEXT_OID, TEXT_OID, TEXT_OID };
    PGresult *rows = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    PGresAttDesc columns[COLUMNS_MAX];
    size_t len;
    char *cell;

    for (int i = 0; i < n; i++)
        columns[i] = (PGresAttDesc){ .name = name, .typid = types[i] };
    REQUIRE(rows != NULL && PQsetResultAttrs(rows, n, columns));
    for (int i = 0; (cell = feed_text(f, '\n', &len)) != NULL; i++) {
        if (types[i % n] == INT8_OID)
            snprintf(cell, len + 1, "%zu", len);
        if (strcmp(cell, "\\N") == 0)
            REQUIRE(PQsetvalue(rows, i / n, i % n, NULL, -1));
        else
            REQUIRE(PQsetvalue(rows, i / n, i % n, cell, (int)strlen(cell)));
        free(cell);
    }
    return rows;
}

/* Columns that one line takes; it has nothing in it that a terminal obeys. */
static int
check_line(const char *line, size_t len)
{
    mbstate_t state = { 0 };
    int width = 0;

    for (size_t i = 0, n; i < len; i += n) {
        wchar_t c;

        n = mbrtowc(&c, line + i, len - i, &state);
        REQUIRE(n > 0 && n <= len - i);
        REQUIRE(c >= L' ' && (c < 0x7f || c >= 0xa0));
        REQUIRE((c < 0x202a || c > 0x202e) && (c < 0x2066 || c > 0x2069)); /* right to left */
        REQUIRE(wcwidth(c) >= 0);
        width += wcwidth(c);
    }
    return width;
}

/* Returns the number of lines. */
static int
check_text(const char *text, int width)
{
    int lines = 0;

    for (; *text != '\0'; lines++) {
        const char *end = strchr(text, '\n');

        REQUIRE(end != NULL);
        REQUIRE(check_line(text, (size_t)(end - text)) <= width);
        text = end + 1;
    }
    return lines;
}

/* 0 is no limit. */
static void
check_table(const PGresult *rows, int width)
{
    AUTO(free) char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    REQUIRE(out != NULL);
    table_print(out, rows, PQnfields(rows), width, false);
    REQUIRE(fclose(out) == 0 && strlen(text) == len);
    REQUIRE(check_text(text, width > 0 ? width : INT32_MAX) == PQntuples(rows) + 1);
}

static void
check_record(const PGresult *rows)
{
    AUTO(free) char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    REQUIRE(out != NULL);
    record_print(out, rows, 0, false);
    REQUIRE(fclose(out) == 0 && strlen(text) == len);
    (void)check_text(text, INT32_MAX);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct feed f = { data, size };
    int n = 1 + feed_byte(&f) % COLUMNS_MAX, width = LEAST + feed_byte(&f);
    AUTO(pgresult) PGresult *rows = NULL;

    fuzz_use_utf8();
    rows = make_rows(&f, n);
    check_table(rows, 0);
    check_table(rows, width);
    if (PQntuples(rows) > 0)
        check_record(rows);
    return 0;
}
