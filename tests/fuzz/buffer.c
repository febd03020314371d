/* SPDX-License-Identifier: MIT */
/* What is written for others to read: JSON strings and array literals can be read back. */
#include "fuzz.h"

#include <string.h>

#include "base/buffer.h"
#include "pg/array.h"

enum { TEXTS_MAX = 16 };

static void
check_json(const char *text)
{
    AUTO(buffer) struct buffer b = { 0 };
    AUTO(free) char *back = NULL;
    const char *at;

    buffer_json_string(&b, text);
    REQUIRE(!b.failed && strlen(b.data) == b.len);
    at = b.data;
    back = fuzz_json_string(&at);
    REQUIRE(back != NULL && *at == '\0' && strcmp(back, text) == 0);
}

/* All texts, in order, and nothing else. */
static void
check_array(char **texts, size_t n)
{
    AUTO(buffer) struct buffer b = { 0 };
    AUTO(free) char *absent = NULL;

    buffer_array_begin(&b);
    for (size_t i = 0; i < n; i++)
        buffer_array_text(&b, texts[i]);
    buffer_array_end(&b);
    REQUIRE(!b.failed && strlen(b.data) == b.len);
    for (size_t i = 0; i < n; i++) {
        bool twice = false;

        REQUIRE(array_has(b.data, texts[i]));
        free(absent);
        REQUIRE(asprintf(&absent, "%s,", texts[i]) > 0);
        for (size_t j = 0; j < n; j++)
            twice |= strcmp(absent, texts[j]) == 0;
        REQUIRE(array_has(b.data, absent) == twice);
    }
}

/* A limit keeps what went before. */
static void
check_limit(const char *text, size_t max)
{
    AUTO(buffer) struct buffer b = { .max = max };

    buffer_text(&b, text);
    REQUIRE(b.failed == (strlen(text) >= max));
    REQUIRE(b.failed ? b.len == 0 : strcmp(b.len > 0 || b.data != NULL ? b.data : "", text) == 0);
    buffer_add(&b, "x", 1);
    REQUIRE(!b.failed || b.len <= strlen(text));
    REQUIRE(b.len < max);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct feed f = { data, size };
    char *texts[TEXTS_MAX];
    size_t n = 0, max = 1 + feed_byte(&f);

    while (n < TEXTS_MAX && (texts[n] = feed_text(&f, '\n', NULL)) != NULL)
        n++;
    for (size_t i = 0; i < n; i++) {
        check_json(texts[i]);
        check_limit(texts[i], max);
    }
    check_array(texts, n);
    while (n > 0)
        free(texts[--n]);
    return 0;
}
