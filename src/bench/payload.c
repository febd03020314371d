/* SPDX-License-Identifier: MIT */
#include "bench/payload.h"

#include <string.h>

/* A number in JSON has no leading zeros, so our numbers begin at this one. */
#define FIRST 100000000000

static const char head[] = "{\"n\": 100000000000, \"x\": \"";
static const char tail[] = "\"}";

void
payload_init(char *payload, size_t len)
{
    const size_t around = sizeof head - 1 + sizeof tail - 1;

    memcpy(payload, head, sizeof head - 1);
    memset(payload + sizeof head - 1, 'x', len - around);
    memcpy(payload + len - (sizeof tail - 1), tail, sizeof tail - 1);
}

void
payload_number(char *payload, int64_t number)
{
    char *digit = payload + PAYLOAD_DIGITS_AT + PAYLOAD_DIGITS;

    number += FIRST;
    for (int i = 0; i < PAYLOAD_DIGITS; i++, number /= 10)
        *--digit = (char)('0' + number % 10);
}

bool
payload_read(const char *payload, size_t len, int64_t *ret_number)
{
    int64_t number = 0;

    if (len < PAYLOAD_MIN || memcmp(payload, head, PAYLOAD_DIGITS_AT) != 0)
        return false;
    for (int i = 0; i < PAYLOAD_DIGITS; i++) {
        char c = payload[PAYLOAD_DIGITS_AT + i];

        if (c < '0' || c > '9')
            return false;
        number = 10 * number + (c - '0');
    }
    if (number < FIRST)
        return false;
    *ret_number = number - FIRST;
    return true;
}
