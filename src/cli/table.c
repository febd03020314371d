/* SPDX-License-Identifier: MIT */
/* See table.h. Cells are foreign text; see glyph.h. */
#include "cli/table.h"

#include "cli/glyph.h"

enum {
    COLUMNS_MAX = 64,
    NARROWEST = 5, /* columns are not cut below this width */
    GAP = 2,       /* between columns */
};

#define ELLIPSIS "\xe2\x80\xa6" /* … */

static void
print_spaces(FILE *out, int n)
{
    fprintf(out, "%*s", n > 0 ? n : 0, "");
}

/* Prints at most `width` columns of a text. Returns how many it took. */
static int
print_text(FILE *out, const char *text, int width)
{
    bool cut = text_width(text) > width;
    struct glyph g;
    int used = 0;

    while (glyph_next(&text, &g) && used + g.width <= width - cut) {
        fwrite(g.bytes, 1, g.len, out);
        used += g.width;
    }
    if (cut)
        fputs(ELLIPSIS, out);
    return used + cut;
}

static void
print_cell(FILE *out, const char *text, int width, bool right, bool last)
{
    int used = text_width(text);

    if (right)
        print_spaces(out, width - used);
    used = print_text(out, text, width);
    if (!right && !last)
        print_spaces(out, width - used);
    if (!last)
        print_spaces(out, GAP);
}

static bool
is_number(const PGresult *res, int column)
{
    switch (PQftype(res, column)) {
    case 20:   /* int8 */
    case 21:   /* int2 */
    case 23:   /* int4 */
    case 26:   /* oid */
    case 700:  /* float4 */
    case 701:  /* float8 */
    case 1700: /* numeric */
        return true;
    default:
        return false;
    }
}

static int
widest_cell(const PGresult *res, int column)
{
    int widest = 0;

    for (int row = 0; row < PQntuples(res); row++) {
        int width = text_width(PQgetvalue(res, row, column));

        if (width > widest)
            widest = width;
    }
    return widest;
}

struct column {
    int width;
    int least; /* is not cut below this; of numbers, nothing is cut */
    bool number;
};

static struct column
measure(const PGresult *res, int column)
{
    int title = text_width(PQfname(res, column));
    int cell = widest_cell(res, column);
    bool number = is_number(res, column);

    return (struct column){ .width = cell > title ? cell : title,
                            .least = number && cell > NARROWEST ? cell : NARROWEST,
                            .number = number };
}

/*
 * Makes the widest columns narrower, without numbers those of text only, until `excess` is gone or
 * nothing more can be cut. Returns the excess that is left.
 */
static int
shrink(struct column *columns, int n, bool numbers, int excess)
{
    for (; excess > 0; excess--) {
        struct column *widest = NULL;

        for (struct column *c = columns; c < columns + n; c++)
            if ((numbers || !c->number) && c->width > c->least &&
                (widest == NULL || c->width > widest->width))
                widest = c;
        if (widest == NULL)
            break;
        widest->width--;
    }
    return excess;
}

static void
fit(struct column *columns, int n, int limit)
{
    int total = GAP * (n - 1);

    for (int i = 0; i < n; i++)
        total += columns[i].width;
    (void)shrink(columns, n, true, shrink(columns, n, false, total - limit));
}

static void
print_header(FILE *out, const PGresult *res, const struct column *columns, int n, bool color)
{
    fputs(color ? "\033[2m" : "", out);
    for (int i = 0; i < n; i++)
        print_cell(out, PQfname(res, i), columns[i].width, columns[i].number, i == n - 1);
    fputs(color ? "\033[0m\n" : "\n", out);
}

void
table_print(FILE *out, const PGresult *res, int n, int width, bool color)
{
    struct column columns[COLUMNS_MAX];

    n = n < COLUMNS_MAX ? n : COLUMNS_MAX;
    for (int i = 0; i < n; i++)
        columns[i] = measure(res, i);
    if (width > 0)
        fit(columns, n, width);

    print_header(out, res, columns, n, color);
    for (int row = 0; row < PQntuples(res); row++) {
        for (int i = 0; i < n; i++)
            print_cell(out, PQgetvalue(res, row, i), columns[i].width, columns[i].number,
                       i == n - 1);
        fputc('\n', out);
    }
}

/* The width of the widest name, without columns that are NULL: these are not printed. */
static int
widest_name(const PGresult *res, int row)
{
    int widest = 0;

    for (int i = 0; i < PQnfields(res); i++)
        if (!PQgetisnull(res, row, i) && text_width(PQfname(res, i)) > widest)
            widest = text_width(PQfname(res, i));
    return widest;
}

void
record_print(FILE *out, const PGresult *res, int row, bool color)
{
    int widest = widest_name(res, row);

    for (int i = 0; i < PQnfields(res); i++) {
        if (PQgetisnull(res, row, i))
            continue;
        fprintf(out, "%s%-*s%s", color ? "\033[2m" : "", widest + GAP, PQfname(res, i),
                color ? "\033[0m" : "");
        text_print(out, PQgetvalue(res, row, i), widest + GAP);
        fputc('\n', out);
    }
}
