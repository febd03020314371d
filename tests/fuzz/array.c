/* SPDX-License-Identifier: MIT */
/* Array literals of whatever form: no byte outside of them is looked at. */
#include "fuzz.h"

#include <string.h>

#include "pg/array.h"

/* An array of one element that needs no quotes has that element and no other. */
static void
check_plain(const char *array, const char *element)
{
    AUTO(free) char *one = NULL;
    bool plain = *element != '\0' && strpbrk(element, "\\\",{}") == NULL;

    REQUIRE(asprintf(&one, "{%s}", element) > 0);
    if (!plain)
        return;
    REQUIRE(array_has(one, element));
    REQUIRE(array_has(one, array) == (strcmp(array, element) == 0));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct feed f = { data, size };
    AUTO(free) char *array = feed_text(&f, '\n', NULL);
    AUTO(free) char *element = feed_text(&f, '\n', NULL);

    if (element == NULL)
        return 0;
    if (array_has(array, element))
        REQUIRE(array[0] == '{' && strlen(array) > strlen(element));
    check_plain(array, element);
    REQUIRE(!array_has("{}", element) && !array_has("", element));
    return 0;
}
