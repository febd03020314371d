/* SPDX-License-Identifier: MIT */
/* Prints --help from the tables of the commands. */
#include "cli/help.h"

#include <string.h>

enum { LEFT_MAX = 64 }; /* bytes in the left column */

/* Writes such as `-y, --yes` or `    --dir DIR`. */
static void
option_synopsis(char *to, size_t size, const struct option_spec *o)
{
    char letter[5] = "    ";

    if (o->letter != 0)
        snprintf(letter, sizeof letter, "-%c, ", o->letter);
    snprintf(to, size, "%s--%s%s%s", letter, o->name, o->value != NULL ? " " : "",
             o->value != NULL ? o->value : "");
}

static int
widest_option(const struct option_spec *o)
{
    char left[LEFT_MAX];
    size_t widest = 0;

    for (; o != NULL && o->name != NULL; o++) {
        option_synopsis(left, sizeof left, o);
        if (strlen(left) > widest)
            widest = strlen(left);
    }
    return (int)widest;
}

static void
print_options(FILE *out, const char *title, const struct option_spec *o, int width)
{
    char left[LEFT_MAX];

    if (o == NULL)
        return;
    fprintf(out, "\n%s:\n", title);
    for (; o->name != NULL; o++) {
        option_synopsis(left, sizeof left, o);
        fprintf(out, "  %-*s  %s", width, left, o->help);
        if (o->standard != NULL)
            fprintf(out, " [%s]", o->standard);
        if (o->env != NULL)
            fprintf(out, " (%s)", o->env);
        fputc('\n', out);
    }
}

static void
print_children(FILE *out, const struct command *children)
{
    size_t widest = 0;

    for (const struct command *c = children; c->name != NULL; c++)
        if (strlen(c->name) > widest)
            widest = strlen(c->name);

    fputs("\nCommands:\n", out);
    for (const struct command *c = children; c->name != NULL; c++)
        fprintf(out, "  %-*s  %s\n", (int)widest, c->name, c->summary);
}

/* Prints the lines of a text, indented. */
static void
print_lines(FILE *out, const char *title, const char *text)
{
    fprintf(out, "\n%s:\n", title);
    while (*text != '\0') {
        int len = (int)strcspn(text, "\n");

        fprintf(out, "  %.*s\n", len, text);
        text += len + (text[len] == '\n');
    }
}

void
help_print(FILE *out, const char *words, const struct command *command)
{
    int own = widest_option(command->options);
    int global = widest_option(global_options);
    int width = own > global ? own : global;

    fprintf(out, "%s: %s\n\n", words, command->summary);
    fprintf(out, "Usage: %s%s%s%s [OPTIONS]\n", words, command->children != NULL ? " COMMAND" : "",
            command->args != NULL ? " " : "", command->args != NULL ? command->args : "");
    if (command->children != NULL)
        print_children(out, command->children);
    print_options(out, "Options", command->options, width);
    print_options(out, "Global options", global_options, width);
    if (command->notes != NULL)
        print_lines(out, "Notes", command->notes);
    if (command->examples != NULL)
        print_lines(out, "Examples", command->examples);
}
