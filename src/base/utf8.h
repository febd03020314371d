/* SPDX-License-Identifier: MIT */
/* Strict UTF-8, the only one that Postgres takes. */
#ifndef AWA_UTF8_H
#define AWA_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/*
 * How many bytes the character at text has, 1 to 4. 0: it is no character, or is cut off after len
 * bytes.
 */
size_t utf8_width(const char *text, size_t len);

/* Is a text valid from its beginning to its NUL? */
bool utf8_is_valid(const char *text);

#endif
