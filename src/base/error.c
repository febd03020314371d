/* SPDX-License-Identifier: MIT */
/* Statuses and the one line of text that goes with them. */
#include "base/error.h"

#include <stdarg.h>
#include <string.h>

const char *
awa_version(void)
{
    return AWA_VERSION;
}

const char *
awa_status_text(awa_status status)
{
    static const char *const texts[] = {
#define X(name, text) [AWA_##name] = (text),
        AWA_STATUS_MAP(X)
#undef X
    };

    if ((size_t)status >= sizeof texts / sizeof texts[0])
        return "unknown status";
    return texts[status];
}

void
awa__one_line(char *text, bool cut)
{
    size_t len = strlen(text);

    for (char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = ' ';
    while (cut && len > 0 && ((unsigned char)text[len - 1] & 0xc0) == 0x80)
        text[--len] = '\0';
    if (cut && len > 0 && (unsigned char)text[len - 1] >= 0xc0)
        text[--len] = '\0';
}

awa_status
awa__fail(awa_error *err, awa_status status, const char *format, ...)
{
    va_list args;
    int len;

    if (err == NULL)
        return status;

    /* The text first: its arguments may be parts of the error that is replaced. */
    char message[sizeof err->message];

    va_start(args, format);
    len = vsnprintf(message, sizeof message, format, args);
    va_end(args);
    awa__one_line(message, len >= (int)sizeof message);

    *err = (awa_error){ .status = status };
    memcpy(err->message, message, sizeof message);
    return status;
}
