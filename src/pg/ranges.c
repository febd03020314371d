/* SPDX-License-Identifier: MIT */
/* See ranges.h. */
#include "pg/ranges.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static size_t
count(const char *text, char c)
{
    size_t n = 0;

    for (; *text != '\0'; text++)
        n += *text == c;
    return n;
}

/*
 * Whether a text begins with a number as Postgres writes it: no plus, no space, no zero in front.
 */
static bool
is_canonical(const char *text, char after)
{
    bool negative = *text == '-';

    text += negative;
    if (*text == '0')
        return !negative && text[1] == after;
    return *text >= '1' && *text <= '9';
}

/* Reads a number and the character `after` it. */
static bool
number(const char **text, int64_t *ret, char after)
{
    char *end;

    if (!is_canonical(*text, after))
        return false;
    errno = 0;
    *ret = strtoll(*text, &end, 10);
    if (errno != 0 || *end != after)
        return false;
    *text = end + 1;
    return true;
}

/* Reads n ranges. They must ascend and not touch each other. */
static bool
read_list(struct range *list, size_t n, const char *text)
{
    if (*text++ != '{')
        return false;
    for (size_t i = 0; i < n; i++)
        if (*text++ != '[' || !number(&text, &list[i].low, ',') ||
            !number(&text, &list[i].end, ')') || *text++ != (i + 1 < n ? ',' : '}') ||
            list[i].low >= list[i].end || (i > 0 && list[i - 1].end >= list[i].low))
            return false;
    return strcmp(text, n > 0 ? "" : "}") == 0;
}

bool
ranges_parse(struct ranges *r, const char *text)
{
    size_t n = count(text, '[');
    struct range *list = calloc(n + 1, sizeof *list);

    if (list == NULL || !read_list(list, n, text)) {
        free(list);
        return false;
    }
    *r = (struct ranges){ list, n };
    return true;
}

void
ranges_done(struct ranges *r)
{
    free(r->list);
    *r = (struct ranges){ 0 };
}

bool
ranges_contain(const struct ranges *r, int64_t pos)
{
    size_t low = 0, high = r->n; /* the last range that begins at or before pos */

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (r->list[middle].low <= pos)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && pos < r->list[low - 1].end;
}
