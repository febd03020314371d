/* SPDX-License-Identifier: MIT */
/*
 * For every fuzz target: NAME.c has LLVMFuzzerTestOneInput(), which gives foreign bytes to one
 * parser and requires what must be true of its answer. `./dev fuzz` links it with libFuzzer; for
 * `./dev test` replay.c gives it the files of corpus/NAME, each whole and cut off everywhere.
 */
#ifndef AWA_FUZZ_H
#define AWA_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "pg/pg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the program, and shows what was not true. */
#define REQUIRE(condition) ((condition) ? (void)0 : fuzz_fail(#condition, __FILE__, __LINE__))
_Noreturn void fuzz_fail(const char *condition, const char *file, int line);

/* An input that is taken apart from its beginning. */
struct feed {
    const uint8_t *at;
    size_t left;
};

/* One byte; 0 at the end. */
uint8_t feed_byte(struct feed *f);

/* Up to a separator or the end, with a NUL behind it, to be freed; NULL at the end. */
char *feed_text(struct feed *f, char separator, size_t *ret_len);

/* Nothing is printed any more on stdout and stderr, as long as it comes through stdio. */
void fuzz_be_quiet(void);

/* Text goes to stdout and stderr by itself no more; characters are those of C.UTF-8. */
void fuzz_use_utf8(void);

/* Is the text from here to its NUL one JSON value? Strings may hold any byte above 0x1f. */
bool fuzz_is_json(const char *text);

/* The string at *text, a JSON string, to be freed; *text moves behind it. NULL: it is none. */
char *fuzz_json_string(const char **text);

#endif
