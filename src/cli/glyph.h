/* SPDX-License-Identifier: MIT */
/*
 * Prints foreign text on a terminal. Characters that could move the cursor, or change how other
 * text looks, are printed as U+FFFD.
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

/* Takes the next character of *text; false at its end. A line feed or a tab becomes a space. */
bool glyph_next(const char **text, struct glyph *ret_glyph);

/* Columns that a text takes on one line. */
int text_width(const char *text);

/* Prints a text with its line feeds. Lines after the first are indented. */
void text_print(FILE *out, const char *text, int indent);

/* Prints a text on one line. */
void text_print_line(FILE *out, const char *text);

#endif
