/* SPDX-License-Identifier: MIT */
/* An array of texts or numbers as Postgres writes it: {1,2} or {a,"b c"}. */
#ifndef AWA_ARRAY_H
#define AWA_ARRAY_H

#include <stdbool.h>

/* Whether an array has this element. The array has one dimension and no NULL in it. */
bool array_has(const char *array, const char *element);

#endif
