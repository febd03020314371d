/* SPDX-License-Identifier: MIT */
/* Foreign text in the message of an error: it stays one line, and whole characters. */
#include "fuzz.h"

#include <string.h>

#include "base/utf8.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct feed f = { data, size };
    AUTO(free) char *text = feed_text(&f, '\0', NULL);
    awa_error err;
    size_t len;

    if (text == NULL)
        return 0;
    memset(&err, 0x7f, sizeof err);
    REQUIRE(awa__fail(&err, AWA_EDB, "%s", text) == AWA_EDB);
    REQUIRE(err.status == AWA_EDB && err.sqlstate[0] == '\0');
    len = strnlen(err.message, sizeof err.message);
    REQUIRE(len < sizeof err.message && len <= strlen(text));
    REQUIRE(!utf8_is_valid(text) || len == strlen(text) || len + 4 >= sizeof err.message - 1);
    for (size_t i = 0; i < len; i++) {
        bool control = (unsigned char)text[i] < ' ' || text[i] == 0x7f;

        REQUIRE(err.message[i] == (control ? ' ' : text[i]));
    }
    REQUIRE(!utf8_is_valid(text) || utf8_is_valid(err.message));
    return 0;
}
