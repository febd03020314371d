/* SPDX-License-Identifier: MIT */
/* See array.h. */
#include "pg/array.h"

/* Whether the element at *at is this text. Moves *at on to what follows the element. */
static bool
is_same(const char **at, const char *text)
{
    const char *c = *at;
    bool quoted = *c == '"', same = true;

    for (c += quoted; *c != '\0' && (quoted ? *c != '"' : *c != ',' && *c != '}'); c++) {
        c += *c == '\\' && c[1] != '\0';
        same = same && *c == *text;
        text += same;
    }
    *at = c + (*c == '"');
    return same && *text == '\0';
}

bool
array_has(const char *array, const char *element)
{
    if (array[0] != '{' || array[1] == '}')
        return false;
    while (*array != '\0' && *array != '}') {
        array++; /* the brace or the comma in front of an element */
        if (is_same(&array, element))
            return true;
    }
    return false;
}
