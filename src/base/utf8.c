/* SPDX-License-Identifier: MIT */
/* See utf8.h. RFC 3629, section 4: no overlong forms, no surrogates, nothing above U+10FFFF. */
#include "base/utf8.h"

#include <stdint.h>
#include <string.h>

size_t
utf8_width(const char *text, size_t len)
{
    static const struct {
        uint8_t first_low, first_high, second_low, second_high, width;
    } forms[] = {
        { 0x00, 0x7f, 0x00, 0x00, 1 }, { 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
        { 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
        { 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
    };
    const uint8_t *b = (const uint8_t *)text;

    for (size_t f = 0; f < sizeof forms / sizeof forms[0] && len > 0; f++) {
        size_t width = forms[f].width;

        if (b[0] < forms[f].first_low || b[0] > forms[f].first_high)
            continue;
        if (width == 1)
            return 1;
        if (len < width || b[1] < forms[f].second_low || b[1] > forms[f].second_high)
            return 0;
        for (size_t i = 2; i < width; i++)
            if ((b[i] & 0xc0) != 0x80)
                return 0;
        return width;
    }
    return 0;
}

bool
utf8_is_valid(const char *text)
{
    size_t len = strlen(text);

    while (len > 0) {
        size_t width = (unsigned char)*text < 0x80 ? 1 : utf8_width(text, len);

        if (width == 0)
            return false;
        text += width;
        len -= width;
    }
    return true;
}
