/* SPDX-License-Identifier: MIT */
/* See output.h. */
#include "cli/output.h"

#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>

#include "cli/glyph.h"
#include "cli/table.h"

void
say(const struct call *call, const char *format, ...)
{
    va_list args;

    if (call_flag(call, "quiet"))
        return;
    fputs("awa: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

/* Whether stdout is a terminal with colours, and neither --no-color nor NO_COLOR is given. */
static bool
use_color(const struct call *call)
{
    const char *term = getenv("TERM");

    return isatty(STDOUT_FILENO) && !call_flag(call, "no-color") &&
           (term == NULL || strcmp(term, "dumb") != 0);
}

/* How many columns the terminal has; 0: stdout is no terminal. */
static int
terminal_width(void)
{
    const char *columns = getenv("COLUMNS");
    long width = columns != NULL ? strtol(columns, NULL, 10) : 0;
    struct winsize size;

    if (!isatty(STDOUT_FILENO))
        return 0;
    if (width > 0 && width < 10000)
        return (int)width;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return 80;
}

void
print_json(const PGresult *res)
{
    puts(PQntuples(res) > 0 && !PQgetisnull(res, 0, 0) ? PQgetvalue(res, 0, 0) : "null");
}

void
print_table(const struct call *call, const PGresult *res)
{
    print_columns(call, res, PQnfields(res));
}

void
print_columns(const struct call *call, const PGresult *res, int n)
{
    table_print(stdout, res, n, terminal_width(), use_color(call));
}

void
print_record(const struct call *call, const PGresult *res)
{
    record_print(stdout, res, 0, use_color(call));
}

void
print_json_string(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', out);
        if ((unsigned char)*text < ' ')
            fprintf(out, "\\u%04x", (unsigned)(unsigned char)*text);
        else
            fputc(*text, out);
    }
    fputc('"', out);
}
