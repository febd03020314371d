/* SPDX-License-Identifier: MIT */
/* Finds the command that the user may have meant. */
#include <string.h>

#include "cli/help.h"

enum { NAME_MAX_LEN = 32 }; /* longer words are never near a command */

static size_t
smallest(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;

    return least < c ? least : c;
}

/* How many insertions, deletions and replacements turn one word into the other (Levenshtein). */
static size_t
distance(const char *a, const char *b)
{
    size_t row[NAME_MAX_LEN + 1]; /* distances of a[0 .. i] to each beginning of b */
    size_t nb = strlen(b);

    for (size_t j = 0; j <= nb; j++)
        row[j] = j;
    for (size_t i = 0; a[i] != '\0'; i++) {
        size_t diagonal = row[0]; /* from the row before */

        row[0] = i + 1;
        for (size_t j = 0; j < nb; j++) {
            size_t above = row[j + 1];

            row[j + 1] = smallest(above + 1, row[j] + 1, diagonal + (a[i] != b[j]));
            diagonal = above;
        }
    }
    return row[nb];
}

const struct command *
command_nearest(const struct command *parent, const char *word)
{
    const struct command *best = NULL;
    size_t limit = strlen(word) / 3 + 2; /* a short word may have fewer mistakes */

    if (strlen(word) > NAME_MAX_LEN)
        return NULL;
    for (const struct command *c = parent->children; c != NULL && c->name != NULL; c++) {
        size_t d = strlen(c->name) <= NAME_MAX_LEN ? distance(word, c->name) : limit;

        if (d < limit && d < strlen(c->name)) {
            best = c;
            limit = d;
        }
    }
    return best;
}
