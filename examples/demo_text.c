/* SPDX-License-Identifier: MIT */
/* The clock, and texts. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "demo.h"

int64_t
now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

const char *
grouped(int64_t n, char text[32])
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%lld", (long long)n);
    int at = 0;

    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0 && digits[i - 1] != '-')
            text[at++] = ',';
        text[at++] = digits[i];
    }
    text[at] = '\0';
    return text;
}

bool
complain(const char *format, ...)
{
    va_list args;

    fflush(stdout);
    fputs("demo: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return false;
}

/* ---- File URLs --------------------------------------------------------------------------- */

/*
 * A job's arguments are JSON, which is Unicode; a path may have any bytes. Percent encoding makes a
 * text of these bytes, in which JSON has nothing to escape.
 */
#define BEFORE "{\"url\": \"file://"
#define AFTER  "\"}"

static bool
is_plain(unsigned char c)
{
    return c < 0x80 && (isalnum(c) || strchr("/-._~+,:@=", c) != NULL);
}

char *
args_of_path(const char *path)
{
    char *args = malloc(sizeof BEFORE + 3 * strlen(path) + sizeof AFTER), *at = args;

    if (args == NULL)
        return NULL;
    at = stpcpy(at, BEFORE);
    for (const unsigned char *p = (const unsigned char *)path; *p != '\0'; p++) {
        if (is_plain(*p))
            *at++ = (char)*p;
        else
            at += snprintf(at, 4, "%%%02X", *p);
    }
    memcpy(at, AFTER, sizeof AFTER);
    return args;
}

static int
hex_value(char c)
{
    const char *digits = "0123456789ABCDEF", *at = strchr(digits, c);

    return c != '\0' && at != NULL ? (int)(at - digits) : -1;
}

char *
path_of_args(const char *json)
{
    char *path, *at;

    if (strncmp(json, BEFORE, strlen(BEFORE)) != 0)
        return NULL;
    json += strlen(BEFORE);
    path = at = malloc(strlen(json) + 1);
    if (path == NULL)
        return NULL;
    for (; *json != '\0' && *json != '"'; json++) {
        int high, low;

        if (*json != '%') {
            *at++ = *json;
            continue;
        }
        high = hex_value(json[1]);
        low = high >= 0 ? hex_value(json[2]) : -1;
        if (low < 0)
            break;
        *at++ = (char)(high * 16 + low);
        json += 2;
    }
    *at = '\0';
    if (strcmp(json, AFTER) == 0)
        return path;
    free(path);
    return NULL;
}
