/* SPDX-License-Identifier: MIT */
/* See attempt.h. */
#include "attempt.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Whether *text begins with a name; then it is behind it. */
static bool
skip(const char **text, const char *name)
{
    size_t len = strlen(name);

    if (strncmp(*text, name, len) != 0)
        return false;
    *text += len;
    return true;
}

/* What stands for the beginning of *text. */
static int
write_next(char *ret, size_t size, const char **text, const struct attempt *a)
{
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = { { "<worker>", a->worker },
                    { "<slot>", a->slot },
                    { "<claim>", a->claim },
                    { "<pos>", a->pos },
                    { "<id>", a->id } };

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (skip(text, numbers[i].name))
            return snprintf(ret, size, "%lld", (long long)numbers[i].value);
    if (skip(text, "<run>"))
        return snprintf(ret, size, "{[%lld,%lld]}", (long long)a->pos, (long long)a->pos);
    return snprintf(ret, size, "%c", *(*text)++);
}

const char *
attempt_sql(char *ret, size_t size, const char *text, const struct attempt *a)
{
    size_t len = 0;

    ret[0] = '\0';
    while (*text != '\0' && len < size)
        len += (size_t)write_next(ret + len, size - len, &text, a);
    return ret;
}
