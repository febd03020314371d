/* SPDX-License-Identifier: MIT */
/*
 * The arguments of a bench's job: JSON text of a given size that has the job's number in it. The
 * text is written as jsonb prints it, so it comes back byte for byte, and the number stands where
 * it was.
 */
#ifndef AWA_BENCH_PAYLOAD_H
#define AWA_BENCH_PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PAYLOAD_MIN = 28, /* bytes */
    PAYLOAD_MAX = 1048576,
    PAYLOAD_DIGITS = 12,
    PAYLOAD_DIGITS_AT = 6,
};

/* Fills len bytes with a payload that has the number 0, without a NUL. */
void payload_init(char *payload, size_t len);

/* Puts a number into a payload. It must be below 9 * 10^11. */
void payload_number(char *payload, int64_t number);

/* Reads the number of arguments that came back. False: they are not a payload of a bench. */
bool payload_read(const char *payload, size_t len, int64_t *ret_number);

#endif
