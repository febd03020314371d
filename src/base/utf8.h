/* SPDX-License-Identifier: MIT */
/* Strict UTF-8, as Postgres takes it. */
#ifndef AWA_UTF8_H
#define AWA_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* The bytes of the character at text, 1 to 4; 0 if it is none, or is cut off after len bytes. */
size_t utf8_width(const char *text, size_t len);

/* Is a text valid from its beginning to its NUL? */
bool utf8_is_valid(const char *text);

#endif
