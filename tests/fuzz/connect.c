/* SPDX-License-Identifier: MIT */
/*
 * Connection strings: before there is a session nothing is sent, what the string chooses is not
 * replaced by our defaults, and the client's encoding is UTF8 whatever it says. The linker gives
 * us what is said to PQconnectdbParams().
 */
#include "fuzz.h"

#include <string.h>
#include <sys/socket.h>

PGconn *__wrap_PQconnectdbParams(const char *const *keywords, const char *const *values,
                                 int expand_dbname);

static const char *conninfo;
static int attempts;

/* Instead of libc's, also for libpq: reading a string needs none. */
int
socket(int domain, int type, int protocol)
{
    (void)domain, (void)type, (void)protocol;
    fuzz_fail("nothing is sent", __FILE__, __LINE__);
}

static int
count(const char *const *keywords, const char *word)
{
    int n = 0;

    for (; *keywords != NULL; keywords++)
        n += strcmp(*keywords, word) == 0;
    return n;
}

static bool
has_service(const PQconninfoOption *chosen)
{
    for (; chosen != NULL && chosen->keyword != NULL; chosen++)
        if (strcmp(chosen->keyword, "service") == 0)
            return chosen->val != NULL;
    return false;
}

PGconn *
__wrap_PQconnectdbParams(const char *const *keywords, const char *const *values, int expand_dbname)
{
    AUTO(conninfo) PQconninfoOption *chosen = PQconninfoParse(conninfo, NULL);

    attempts++;
    REQUIRE(expand_dbname && strcmp(keywords[0], "dbname") == 0 && values[0] == conninfo);
    for (size_t i = 0; keywords[i] != NULL; i++)
        REQUIRE(values[i] != NULL && count(keywords, keywords[i]) == 1);
    REQUIRE(count(keywords, "client_encoding") == 1);
    if (has_service(chosen))
        return NULL; /* if there is no such service, libpq reads no further, and will refuse */
    for (PQconninfoOption *o = chosen; o != NULL && o->keyword != NULL; o++)
        if (o->val != NULL && strcmp(o->keyword, "dbname") != 0 &&
            strcmp(o->keyword, "client_encoding") != 0)
            REQUIRE(count(keywords, o->keyword) == 0);
    return NULL; /* as if memory had run out */
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct feed f = { data, size };
    AUTO(free) char *text = feed_text(&f, '\0', NULL);
    PGconn *conn = NULL;
    awa_error err;

    if (text == NULL)
        return 0;
    conninfo = text;
    attempts = 0;
    REQUIRE(awa_connect(text, &conn, &err) == AWA_ENOMEM && conn == NULL);
    REQUIRE(strcmp(err.message, "connect: out of memory") == 0 && attempts == 1);
    return 0;
}
