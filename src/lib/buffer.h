/* SPDX-License-Identifier: MIT */
/*
 * A growing buffer of bytes with a limit. A buffer that could not grow stays `failed` and takes
 * nothing more, so that a caller checks once, at the end.
 */
#ifndef AWA_BUFFER_H
#define AWA_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer {
    char *data; /* len bytes and a NUL; NULL while empty */
    size_t len, size;
    size_t max; /* 0: BUFFER_MAX */
    bool failed;
};

enum { BUFFER_MAX = 1 << 30 }; /* what Postgres takes in one message */

void buffer_done(struct buffer *b);  /* may be used again */
void buffer_reset(struct buffer *b); /* empty, but keeps its memory */
void buffer_add(struct buffer *b, const void *data, size_t len);
void buffer_text(struct buffer *b, const char *text);
void buffer_format(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Network order, as the binary formats of Postgres have it. */
void buffer_int16(struct buffer *b, int v);
void buffer_int32(struct buffer *b, int64_t v);
void buffer_int64(struct buffer *b, int64_t v);

/* An array literal: begin, one call per element, end. NULL is NULL. */
void buffer_array_begin(struct buffer *b);
void buffer_array_text(struct buffer *b, const char *text);
void buffer_array_int(struct buffer *b, int64_t v);
void buffer_array_null(struct buffer *b);
void buffer_array_end(struct buffer *b);

/* A JSON string, quoted and escaped. Bytes above 0x7f pass as they are. */
void buffer_json_string(struct buffer *b, const char *text);

static inline void
auto_buffer(struct buffer *b)
{
    buffer_done(b);
}

#endif
