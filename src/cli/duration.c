/* SPDX-License-Identifier: MIT */
/* See duration.h. */
#include "cli/duration.h"

#include <string.h>

#include "pg/pg.h"

enum { SHOWN_MAX = 40 }; /* how many bytes of a bad duration an error repeats */

static const struct {
    const char *name;
    int64_t ms;
} units[] = {
    { "ms", 1 }, { "s", 1000 }, { "m", 60 * 1000 }, { "h", 3600 * 1000 }, { "d", 86400 * 1000 },
};

/* Milliseconds in a unit; 0: there is no such unit. */
static int64_t
unit_ms(const char *text, size_t len)
{
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (len == strlen(units[i].name) && memcmp(text, units[i].name, len) == 0)
            return units[i].ms;
    return 0;
}

static awa_status
refuse(awa_error *err, const char *text, size_t len, const char *why)
{
    return awa__fail(err, AWA_EINVAL, "duration: '%.*s' %s",
                     (int)(len < SHOWN_MAX ? len : SHOWN_MAX), text, why);
}

awa_status
awa__duration_parse(const char *text, size_t len, int64_t *ret_ms, awa_error *err)
{
    static const char want[] = "is none; write 500ms, 5s, 2m, 1h or 3d";
    int64_t n = 0;
    int64_t unit;
    size_t i;

    for (i = 0; i < len && text[i] >= '0' && text[i] <= '9'; i++)
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, text[i] - '0', &n))
            return refuse(err, text, len, "is too long");
    if (i == 0)
        return refuse(err, text, len, want);
    if (i == len)
        return refuse(err, text, len, "lacks a unit: ms, s, m, h or d");

    unit = unit_ms(text + i, len - i);
    if (unit == 0)
        return refuse(err, text, len, want);
    if (__builtin_mul_overflow(n, unit, &n))
        return refuse(err, text, len, "is too long");
    *ret_ms = n;
    return AWA_OK;
}
