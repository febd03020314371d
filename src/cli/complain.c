/* SPDX-License-Identifier: MIT */
/* See complain.h. */
#include "cli/complain.h"

#include <stdarg.h>

#include "base/own.h"
#include "cli/glyph.h"

int
usage_error(const char *format, ...)
{
    va_list args;

    fputs("awa: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return EXIT_USAGE;
}

static int
exit_code_of(awa_status status)
{
    switch (status) {
    case AWA_OK:
        return EXIT_DONE;
    case AWA_EINVAL:
        return EXIT_USAGE;
    case AWA_ENOTFOUND:
        return EXIT_NOT_FOUND;
    case AWA_EEXISTS:
        return EXIT_DUPLICATE;
    default:
        return EXIT_FAILED;
    }
}

int
report(const awa_error *err)
{
    log_line(err->message);
    return exit_code_of(err->status);
}

static void
print_line(FILE *out, const char *line)
{
    fputs("awa: ", out);
    text_print_line(out, line);
    fputc('\n', out);
}

/* Writes the line at once, because other threads and programs may write at the same time. */
void
log_line(const char *line)
{
    AUTO(free) char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (out == NULL) { /* no memory: the line may say just that */
        print_line(stderr, line);
        return;
    }
    print_line(out, line);
    if (fclose(out) == 0)
        fputs(text, stderr);
    else
        print_line(stderr, line);
}
