/* SPDX-License-Identifier: MIT */
/* See options.h. */
#include "pg/pg.h"

#include <string.h>

#include "lib/options.h"

enum { OPTIONS_MAX = 4096 }; /* a larger size is garbage: no struct of awa.h will be larger */

bool
awa__options_read(void *to, size_t to_size, const void *from, size_t from_size)
{
    const unsigned char *bytes = from;

    if (from == NULL || from_size < sizeof(size_t) || from_size > OPTIONS_MAX)
        return false;
    for (size_t i = to_size; i < from_size; i++)
        if (bytes[i] != 0)
            return false;

    memset(to, 0, to_size);
    memcpy(to, from, from_size < to_size ? from_size : to_size);
    return true;
}
