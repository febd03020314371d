/* SPDX-License-Identifier: MIT */
/* Durations: digits and a unit, or a refusal that leaves the result alone. */
#include "fuzz.h"

#include <string.h>

#include "cli/duration.h"

static void
check_round_trip(int64_t ms)
{
    char text[32];
    int64_t again = -1;
    awa_error err;

    snprintf(text, sizeof text, "%lldms", (long long)ms);
    REQUIRE(awa__duration_parse(text, strlen(text), &again, &err) == AWA_OK);
    REQUIRE(again == ms);
}

/* Digits, then one or two letters. */
static bool
looks_right(const char *text, size_t len)
{
    size_t digits = 0;

    while (digits < len && text[digits] >= '0' && text[digits] <= '9')
        digits++;
    return digits > 0 && (len - digits == 1 || (len - digits == 2 && text[digits] == 'm'));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t ms = -1;
    awa_error err = { 0 };
    awa_status s = awa__duration_parse((const char *)data, size, &ms, &err);

    if (s == AWA_OK) {
        REQUIRE(ms >= 0 && err.message[0] == '\0');
        REQUIRE(looks_right((const char *)data, size));
        check_round_trip(ms);
    } else {
        REQUIRE(s == AWA_EINVAL && ms == -1);
        REQUIRE(err.status == s && strncmp(err.message, "duration: ", 10) == 0);
    }
    return 0;
}
