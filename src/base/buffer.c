/* SPDX-License-Identifier: MIT */
/* See buffer.h. */
#include "base/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
buffer_done(struct buffer *b)
{
    free(b->data);
    *b = (struct buffer){ .max = b->max };
}

void
buffer_reset(struct buffer *b)
{
    b->len = 0;
    b->failed = false;
}

/* Makes room for len more bytes and a NUL. */
static bool
reserve(struct buffer *b, size_t len)
{
    size_t max = b->max != 0 ? b->max : BUFFER_MAX, size = b->size != 0 ? b->size : 256;
    char *data;

    if (b->failed || len >= max - b->len) {
        b->failed = true;
        return false;
    }
    if (len < b->size - b->len)
        return true;
    while (size <= b->len + len)
        size *= 2;
    if (size > max)
        size = max;
    data = realloc(b->data, size);
    if (data == NULL) {
        b->failed = true;
        return false;
    }
    b->data = data;
    b->size = size;
    return true;
}

void
buffer_add_growing(struct buffer *b, const void *data, size_t len)
{
    if (reserve(b, len))
        buffer_add(b, data, len);
}

void
buffer_text(struct buffer *b, const char *text)
{
    buffer_add(b, text, strlen(text));
}

void
buffer_format(struct buffer *b, const char *format, ...)
{
    va_list args, again;
    int len;

    va_start(args, format);
    va_copy(again, args);
    len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len < 0)
        b->failed = true;
    else if (reserve(b, (size_t)len)) {
        vsnprintf(b->data + b->len, (size_t)len + 1, format, again);
        b->len += (size_t)len;
    }
    va_end(again);
}

void
buffer_array_begin(struct buffer *b)
{
    buffer_add(b, "{", 1);
}

void
buffer_array_text(struct buffer *b, const char *text)
{
    size_t run;

    if (text == NULL) {
        buffer_array_null(b);
        return;
    }
    buffer_add(b, "\"", 1);
    for (;; text++) {
        run = strcspn(text, "\"\\");
        buffer_add(b, text, run);
        text += run;
        if (*text == '\0')
            break;
        buffer_add(b, "\\", 1);
        buffer_add(b, text, 1);
    }
    buffer_add(b, "\",", 2);
}

void
buffer_array_int(struct buffer *b, int64_t v)
{
    buffer_format(b, "%lld,", (long long)v);
}

void
buffer_array_null(struct buffer *b)
{
    buffer_add(b, "NULL,", 5);
}

void
buffer_array_end(struct buffer *b)
{
    if (b->failed)
        return;
    if (b->data[b->len - 1] == ',')
        b->data[b->len - 1] = '}';
    else
        buffer_add(b, "}", 1);
}

void
buffer_json_string(struct buffer *b, const char *text)
{
    buffer_add(b, "\"", 1);
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '"' || c == '\\')
            buffer_format(b, "\\%c", c);
        else if (c < ' ')
            buffer_format(b, "\\u%04x", c);
        else
            buffer_add(b, text, 1);
    }
    buffer_add(b, "\"", 1);
}
