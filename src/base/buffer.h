/* SPDX-License-Identifier: MIT */
/*
 * A growing buffer of bytes with a limit. A buffer that could not grow is `failed` from then on and
 * takes nothing more, so a caller checks once, at the end.
 */
#ifndef AWA_BUFFER_H
#define AWA_BUFFER_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct buffer {
    char *data; /* len bytes and a NUL; NULL while empty */
    size_t len, size;
    size_t max; /* 0: BUFFER_MAX */
    bool failed;
};

enum { BUFFER_MAX = 1 << 30 }; /* what Postgres takes in one message */

void buffer_done(struct buffer *b);  /* may be used again */
void buffer_reset(struct buffer *b); /* empty, but keeps its memory */
void buffer_add_growing(struct buffer *b, const void *data, size_t len);
void buffer_text(struct buffer *b, const char *text);
void buffer_format(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Inline, because a COPY adds some twenty small pieces for each job. */
static inline void
buffer_add(struct buffer *b, const void *data, size_t len)
{
    if (b->failed || len >= b->size - b->len) {
        buffer_add_growing(b, data, len);
        return;
    }
    memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = '\0';
}

/* Integers in network order, as the binary formats of Postgres want them. */
static inline void
buffer_int16(struct buffer *b, int v)
{
    uint16_t n = htobe16((uint16_t)v);

    buffer_add(b, &n, sizeof n);
}

static inline void
buffer_int32(struct buffer *b, int64_t v)
{
    uint32_t n = htobe32((uint32_t)v);

    buffer_add(b, &n, sizeof n);
}

static inline void
buffer_int64(struct buffer *b, int64_t v)
{
    uint64_t n = htobe64((uint64_t)v);

    buffer_add(b, &n, sizeof n);
}

/* An array literal: begin, one call for each element, end. A text that is NULL becomes NULL. */
void buffer_array_begin(struct buffer *b);
void buffer_array_text(struct buffer *b, const char *text);
void buffer_array_int(struct buffer *b, int64_t v);
void buffer_array_null(struct buffer *b);
void buffer_array_end(struct buffer *b);

/* A JSON string, quoted and escaped. Bytes above 0x7f are added as they are. */
void buffer_json_string(struct buffer *b, const char *text);

static inline void
auto_buffer(struct buffer *b)
{
    buffer_done(b);
}

#endif
