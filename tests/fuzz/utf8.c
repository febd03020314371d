/* SPDX-License-Identifier: MIT */
/* UTF-8, against a decoder that computes instead of looking things up. */
#include "fuzz.h"

#include <string.h>

#include "base/utf8.h"

/* Bytes of the character at b; 0: none. */
static size_t
decode(const uint8_t *b, size_t len)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t width = b[0] < 0x80 ? 1 : b[0] < 0xc0 ? 0 : b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 : 4;
    uint32_t c;

    if (width < 2)
        return width;
    if (b[0] >= 0xf8 || width > len)
        return 0;
    c = b[0] & (0x7fU >> width);
    for (size_t i = 1; i < width; i++) {
        if (b[i] >> 6 != 2)
            return 0;
        c = c << 6 | (b[i] & 0x3f);
    }
    return c < least[width] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : width;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct feed f = { data, size };
    AUTO(free) char *text = feed_text(&f, '\0', NULL);
    bool valid = true;

    REQUIRE(utf8_width((const char *)data, 0) == 0);
    for (size_t i = 0; i < size; i++)
        REQUIRE(utf8_width((const char *)data + i, size - i) == decode(data + i, size - i));
    if (text == NULL)
        return 0;
    for (size_t i = 0, len = strlen(text), width; i < len && valid; i += width) {
        width = decode((const uint8_t *)text + i, len - i);
        valid = width > 0;
    }
    REQUIRE(utf8_is_valid(text) == valid);
    return 0;
}
