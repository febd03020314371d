/* SPDX-License-Identifier: MIT */
/* See fuzz.h. */
#include "fuzz.h"

#include <locale.h>
#include <string.h>

void
fuzz_fail(const char *condition, const char *file, int line)
{
    dprintf(STDERR_FILENO, "%s:%d: not true: %s\n", file, line, condition);
    abort();
}

uint8_t
feed_byte(struct feed *f)
{
    if (f->left == 0)
        return 0;
    f->left--;
    return *f->at++;
}

char *
feed_text(struct feed *f, char separator, size_t *ret_len)
{
    const uint8_t *end;
    size_t len;
    char *text;

    if (f->left == 0)
        return NULL;
    end = memchr(f->at, separator, f->left);
    len = end != NULL ? (size_t)(end - f->at) : f->left;
    text = malloc(len + 1);
    REQUIRE(text != NULL);
    memcpy(text, f->at, len);
    text[len] = '\0';
    f->at += len + (end != NULL);
    f->left -= len + (end != NULL);
    if (ret_len != NULL)
        *ret_len = len;
    return text;
}

void
fuzz_be_quiet(void)
{
    static FILE *nowhere;

    if (nowhere != NULL)
        return;
    nowhere = fopen("/dev/null", "we");
    REQUIRE(nowhere != NULL);
    stdout = stderr = nowhere;
}

void
fuzz_use_utf8(void)
{
    static bool done;

    if (!done)
        REQUIRE(setlocale(LC_CTYPE, "C.UTF-8") != NULL);
    done = true;
}

/* ---- JSON -------------------------------------------------------------------------------- */

enum { DEPTH_MAX = 64 };

static bool skip_value(const char **text, int depth);

static void
skip_space(const char **text)
{
    *text += strspn(*text, " \t\r\n");
}

/* The character that a backslash begins; \u only for one byte, as our writers use it. */
static bool
read_escape(const char **text, char *to)
{
    static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
    const char *found = **text != '\0' ? strchr(from, **text) : NULL;
    unsigned code;

    if (found != NULL) {
        *to = into[found - from];
        (*text)++;
        return true;
    }
    if (**text != 'u' || strspn(*text + 1, "0123456789abcdefABCDEF") < 4)
        return false;
    code = (unsigned)strtoul((char[]){ (*text)[1], (*text)[2], (*text)[3], (*text)[4], '\0' }, NULL,
                             16);
    *to = (char)(code < 0x80 ? code : '?');
    *text += 5;
    return code != 0;
}

char *
fuzz_json_string(const char **text)
{
    char *to = malloc(strlen(*text) + 1);
    size_t n = 0;
    bool good = **text == '"';

    REQUIRE(to != NULL);
    for (*text += good; good && **text != '"';) {
        if (**text == '\\') {
            (*text)++;
            good = read_escape(text, &to[n++]);
        } else {
            good = (unsigned char)**text >= ' ';
            to[n++] = *(*text)++;
        }
    }
    if (!good) {
        free(to);
        return NULL;
    }
    (*text)++;
    to[n] = '\0';
    return to;
}

static bool
skip_string(const char **text)
{
    AUTO(free) char *value = fuzz_json_string(text);

    return value != NULL;
}

/* Of an object, if close is '}', else of an array; *text is behind what opened it. */
static bool
skip_members(const char **text, char close, int depth)
{
    skip_space(text);
    if (**text == close)
        return (*text)++, true;
    for (;;) {
        skip_space(text);
        if (close == '}') {
            if (!skip_string(text))
                return false;
            skip_space(text);
            if (*(*text)++ != ':')
                return false;
        }
        if (!skip_value(text, depth + 1))
            return false;
        skip_space(text);
        if (**text == close)
            return (*text)++, true;
        if (**text != ',')
            return false;
        (*text)++;
    }
}

static bool
skip_number(const char **text)
{
    size_t digits;

    *text += **text == '-';
    digits = **text == '0' ? 1 : strspn(*text, "0123456789");
    *text += digits;
    if (digits > 0 && **text == '.') {
        digits = strspn(++*text, "0123456789");
        *text += digits;
    }
    if (digits > 0 && (**text == 'e' || **text == 'E')) {
        ++*text;
        *text += **text == '-' || **text == '+';
        digits = strspn(*text, "0123456789");
        *text += digits;
    }
    return digits > 0;
}

static bool
skip_value(const char **text, int depth)
{
    static const char *const words[] = { "true", "false", "null" };

    if (depth > DEPTH_MAX)
        return false;
    skip_space(text);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strncmp(*text, words[i], strlen(words[i])) == 0) {
            *text += strlen(words[i]);
            return true;
        }
    if (**text == '"')
        return skip_string(text);
    if (**text == '{' || **text == '[') {
        char close = *(*text)++ == '{' ? '}' : ']';

        return skip_members(text, close, depth);
    }
    return skip_number(text);
}

bool
fuzz_is_json(const char *text)
{
    if (!skip_value(&text, 0))
        return false;
    skip_space(&text);
    return *text == '\0';
}
