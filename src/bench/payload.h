/* SPDX-License-Identifier: MIT */
/*
 * The arguments of a bench's job: JSON text of a given size that carries the job's number. It is
 * written as jsonb prints it, so it comes back byte for byte and the number stands where it was.
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

/* Fills len bytes with a payload that carries the number 0; there is no NUL. */
void payload_init(char *payload, size_t len);

/* Puts a number, below 9 * 10^11, into a payload. */
void payload_number(char *payload, int64_t number);

/* The number in what came back; false: this is none of ours. */
bool payload_read(const char *payload, size_t len, int64_t *ret_number);

#endif
