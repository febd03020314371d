/* SPDX-License-Identifier: MIT */
/* See complaints.h. */
#include "base/complaints.h"

#include <stdio.h>
#include <string.h>

/*
 * The place of a line: the one that it has, or else the one of the line that was heard longest ago.
 */
static struct complaint *
place_of(struct complaints *c, const char *line)
{
    struct complaint *oldest = &c->kept[0];

    for (size_t i = 0; i < COMPLAINTS_KEPT; i++) {
        struct complaint *k = &c->kept[i];

        if (k->line[0] != '\0' && strncmp(k->line, line, sizeof k->line - 1) == 0)
            return k;
        if (k->line[0] == '\0' || (oldest->line[0] != '\0' && k->heard_at < oldest->heard_at))
            oldest = k;
    }
    *oldest = (struct complaint){ .said_at = INT64_MIN / 2 };
    snprintf(oldest->line, sizeof oldest->line, "%s", line);
    return oldest;
}

bool
complaints_hear(struct complaints *c, const char *line, int64_t now, int64_t *ret_unsaid)
{
    struct complaint *k = place_of(c, line);

    k->heard_at = now;
    if (now - k->said_at < COMPLAINTS_MS) {
        k->unsaid++;
        return false;
    }
    *ret_unsaid = k->unsaid;
    k->said_at = now;
    k->unsaid = 0;
    return true;
}
