/* SPDX-License-Identifier: MIT */
/*
 * Command lines that mean the same without a shell. Running them directly saves a process, and
 * tells a program that is missing from one that failed.
 */
#ifndef AWA_PLAIN_LINE_H
#define AWA_PLAIN_LINE_H

#include <stdbool.h>

/* Whether a line has only plain words, of which the first names a program. */
bool plain_line(const char *line);

/* Gives the next word of such a line; NULL: there is none. Writes a NUL behind the word. */
char *plain_line_next(char **rest);

#endif
