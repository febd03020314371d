/* SPDX-License-Identifier: MIT */
/* See glyph.h. */
#include "cli/glyph.h"

#include <limits.h>
#include <string.h>
#include <wchar.h>

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* Control characters of C1, and those that change the direction of the text after them. */
static bool
is_deceptive(wchar_t c)
{
    return (c >= 0x80 && c < 0xa0) || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

bool
glyph_next(const char **text, struct glyph *g)
{
    mbstate_t state = { 0 };
    wchar_t c;
    size_t len = mbrtowc(&c, *text, strnlen(*text, MB_LEN_MAX), &state);

    if (**text == '\0')
        return false;
    if (len > MB_LEN_MAX) { /* an error code: the text is not UTF-8 here */
        *g = (struct glyph){ REPLACEMENT, sizeof REPLACEMENT - 1, 1 };
        len = 1;
    } else if (c == L'\n' || c == L'\t') {
        *g = (struct glyph){ " ", 1, 1 };
    } else if (c < L' ' || is_deceptive(c) || wcwidth(c) < 0) {
        *g = (struct glyph){ REPLACEMENT, sizeof REPLACEMENT - 1, 1 };
    } else {
        *g = (struct glyph){ *text, len, wcwidth(c) };
    }
    *text += len;
    return true;
}

int
text_width(const char *text)
{
    struct glyph g;
    int width = 0;

    while (glyph_next(&text, &g))
        width += g.width;
    return width;
}

void
text_print_line(FILE *out, const char *text)
{
    struct glyph g;

    while (glyph_next(&text, &g))
        fwrite(g.bytes, 1, g.len, out);
}

void
text_print(FILE *out, const char *text, int indent)
{
    struct glyph g;
    bool ends;

    for (;;) {
        ends = *text == '\n';
        if (!glyph_next(&text, &g))
            return;
        if (ends)
            fprintf(out, "\n%*s", *text != '\0' ? indent : 0, "");
        else
            fwrite(g.bytes, 1, g.len, out);
    }
}
