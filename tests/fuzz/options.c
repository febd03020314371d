/* SPDX-License-Identifier: MIT */
/* Option structs of callers with another header: known bytes are copied, unknown ones refused. */
#include "fuzz.h"

#include <string.h>

#include "lib/options.h"

enum { TO_MAX = 64 };

static bool
all_zero(const uint8_t *bytes, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct feed f = { data, size };
    size_t to_size = 8 + feed_byte(&f) % (TO_MAX - 7);
    uint8_t to[TO_MAX];
    bool good;

    memset(to, 0xa5, sizeof to);
    good = awa__options_read(to, to_size, f.at, f.left);
    REQUIRE(to_size == TO_MAX || to[to_size] == 0xa5);
    if (!good) {
        REQUIRE(to[0] == 0xa5 && to[to_size - 1] == 0xa5);
        REQUIRE(f.left < sizeof(size_t) || f.left > 4096 || !all_zero(f.at, to_size, f.left));
        return 0;
    }
    REQUIRE(f.left >= sizeof(size_t) && all_zero(f.at, to_size, f.left));
    REQUIRE(memcmp(to, f.at, f.left < to_size ? f.left : to_size) == 0);
    REQUIRE(all_zero(to, f.left, to_size));
    return 0;
}
