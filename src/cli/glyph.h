/* SPDX-License-Identifier: MIT */
/*
 * Foreign text on a terminal. What could move the cursor, or pretend to be something else, is
 * shown as U+FFFD.
 */
#ifndef AWA_CLI_GLYPH_H
#define AWA_CLI_GLYPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* One character as it is shown. */
struct glyph {
    const char *bytes;
    size_t len;
    int width; /* columns */
};

/* Takes the next character of *text; false at its end. A line feed or a tab is shown as a space. */
bool glyph_next(const char **text, struct glyph *ret_glyph);

/* Columns that a text takes on one line. */
int text_width(const char *text);

/* The text, with its lines; those after the first are indented. */
void text_print(FILE *out, const char *text, int indent);

/* The text on one line. */
void text_print_line(FILE *out, const char *text);

#endif
