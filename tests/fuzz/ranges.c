/* SPDX-License-Identifier: MIT */
/* Multiranges: what is taken comes back when it is written, and contains what it says. */
#include "fuzz.h"

#include <string.h>

#include "base/buffer.h"
#include "pg/ranges.h"

static void
write_ranges(const struct ranges *r, struct buffer *b)
{
    buffer_text(b, "{");
    for (size_t i = 0; i < r->n; i++)
        buffer_format(b, "%s[%lld,%lld)", i > 0 ? "," : "", (long long)r->list[i].low,
                      (long long)r->list[i].end);
    buffer_text(b, "}");
    REQUIRE(!b->failed);
}

static bool
contains(const struct ranges *r, int64_t pos)
{
    for (size_t i = 0; i < r->n; i++)
        if (pos >= r->list[i].low && pos < r->list[i].end)
            return true;
    return false;
}

static void
check_contains(const struct ranges *r)
{
    for (size_t i = 0; i < r->n; i++) {
        REQUIRE(r->list[i].low < r->list[i].end);
        REQUIRE(i == 0 || r->list[i - 1].end < r->list[i].low);
        for (int64_t near = -1; near <= 1; near++) {
            int64_t low = (int64_t)((uint64_t)r->list[i].low + (uint64_t)near);
            int64_t end = (int64_t)((uint64_t)r->list[i].end + (uint64_t)near);

            REQUIRE(ranges_contain(r, low) == contains(r, low));
            REQUIRE(ranges_contain(r, end) == contains(r, end));
        }
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct feed f = { data, size };
    AUTO(free) char *text = feed_text(&f, '\0', NULL);
    AUTO(buffer) struct buffer written = { 0 };
    struct ranges r = { NULL, 77 };

    if (text == NULL)
        return 0;
    if (!ranges_parse(&r, text)) {
        REQUIRE(r.list == NULL && r.n == 77);
        return 0;
    }
    write_ranges(&r, &written);
    REQUIRE(strcmp(written.data, text) == 0);
    check_contains(&r);
    ranges_done(&r);
    REQUIRE(r.list == NULL && r.n == 0);
    return 0;
}
