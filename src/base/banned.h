/* SPDX-License-Identifier: MIT */
/*
 * Functions that are too easy to get wrong. Every C file of the project is compiled with this file
 * in front; to use one of them is an error.
 */
#ifndef AWA_BANNED_H
#define AWA_BANNED_H

/* The headers that declare these functions come first: a header may not name what is poisoned. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#undef sprintf /* a macro, if the compiler is clang */

#pragma GCC poison strcpy strcat sprintf   /* no bound: snprintf */
#pragma GCC poison strtok gmtime localtime /* static state: strcspn, gmtime_r */
#pragma GCC poison atoi atol atof          /* no errors: strtoll */
#pragma GCC poison strerror                /* static state: %m */

#endif
