/* SPDX-License-Identifier: MIT */
/*
 * Command lines that mean the same without a shell. To run them directly saves a process, and a
 * program that is missing can be told from one that failed.
 */
#ifndef AWA_PLAIN_LINE_H
#define AWA_PLAIN_LINE_H

#include <stdbool.h>

/* Nothing but plain words, of which the first names a program. */
bool plain_line(const char *line);

/* The next word of such a line, which is cut into words by it; NULL: no more. */
char *plain_line_next(char **rest);

#endif
