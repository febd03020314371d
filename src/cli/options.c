/* SPDX-License-Identifier: MIT */
/* See options.h. */
#include "cli/options.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "cli/complain.h"
#include "cli/duration.h"

enum {
    TABLE_MAX = 64,  /* options of one command, global ones included */
    LONG_BASE = 256, /* getopt_long() returns this for the first option; above every letter */
};

/* The options of a command in the form that getopt_long() needs. */
struct table {
    const struct option_spec *specs[TABLE_MAX];
    struct option longs[TABLE_MAX + 1];
    char letters[2 * TABLE_MAX + 3];
    int n;
};

static void
table_add(struct table *t, const struct option_spec *specs)
{
    for (; specs != NULL && specs->name != NULL && t->n < TABLE_MAX; specs++) {
        int argument = specs->type == OPTION_FLAG ? no_argument : required_argument;
        size_t end = strlen(t->letters);

        t->longs[t->n] = (struct option){ specs->name, argument, NULL, LONG_BASE + t->n };
        t->specs[t->n++] = specs;
        if (specs->letter != 0)
            snprintf(t->letters + end, sizeof t->letters - end, "%c%s", specs->letter,
                     argument == required_argument ? ":" : "");
    }
}

/* '+': getopt_long() stops at the first word; ':': it prints no errors, we do. */
static void
table_init(struct table *t, const struct command *command, bool stop)
{
    *t = (struct table){ 0 };
    snprintf(t->letters, sizeof t->letters, "%s:", stop ? "+" : "");
    table_add(t, global_options);
    table_add(t, command->options);
}

static const struct option_spec *
table_find(const struct table *t, int code)
{
    if (code >= LONG_BASE)
        return t->specs[code - LONG_BASE];
    for (int i = 0; i < t->n; i++)
        if (t->specs[i]->letter == code)
            return t->specs[i];
    return NULL;
}

static bool
read_number(const char *text, int64_t *ret_number)
{
    char *end;

    errno = 0;
    *ret_number = strtoll(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && *ret_number >= 0;
}

/* Reads the number of an option that has one. `from` is for errors: "--limit", or a variable. */
static bool
read_value(struct given_option *option, const char *from)
{
    const char *text = option->text;
    awa_error err;

    if (option->spec->type == OPTION_NUMBER && !read_number(text, &option->number)) {
        usage_error("%s: '%s' is not a number", from, text);
        return false;
    }
    if (option->spec->type == OPTION_DURATION &&
        awa__duration_parse(text, strlen(text), &option->number, &err) != AWA_OK) {
        usage_error("%s: %s", from, err.message);
        return false;
    }
    if (option->spec->positive && option->number == 0) {
        usage_error("%s: want more than 0, got %s", from, text);
        return false;
    }
    return true;
}

static bool
add(struct call *call, const struct option_spec *spec, const char *from, const char *text)
{
    struct given_option option = { .spec = spec, .text = text };

    if (call->ngiven == GIVEN_MAX) {
        usage_error("%s: more than %d options", from, GIVEN_MAX);
        return false;
    }
    if (!read_value(&option, from))
        return false;
    call->given[call->ngiven++] = option;
    return true;
}

static bool
add_option(struct call *call, const struct option_spec *spec, const char *text)
{
    char from[64];

    snprintf(from, sizeof from, "--%s", spec->name);
    return add(call, spec, from, text);
}

/* Reports an error of getopt_long(). `word` is where it stopped, code what it returned. */
static bool
refuse(const struct call *call, int code, const char *word)
{
    char letter[3] = { '-', (char)optopt, '\0' };
    const char *shown = optopt > 0 && optopt < LONG_BASE ? letter : word;

    if (code == ':')
        usage_error("%s: %s needs a value", call->words, shown);
    else
        usage_error("%s: there is no option %s; see %s --help", call->words, shown, call->words);
    return false;
}

bool
options_parse(struct call *call, int argc, char **argv, bool stop, int *ret_rest)
{
    struct table table;
    int code;

    table_init(&table, call->command, stop);
    optind = 0; /* getopt_long() begins anew */
    while ((code = getopt_long(argc, argv, table.letters, table.longs, NULL)) != -1) {
        const struct option_spec *spec = table_find(&table, code);

        if (code == '?' || code == ':' || spec == NULL)
            return refuse(call, code, argv[optind - 1]);
        if (!add_option(call, spec, optarg))
            return false;
    }
    *ret_rest = optind;
    return true;
}

static bool
is_given(const struct call *call, const struct option_spec *spec)
{
    for (size_t i = 0; i < call->ngiven; i++)
        if (call->given[i].spec == spec)
            return true;
    return false;
}

static bool
complete(struct call *call, const struct option_spec *spec)
{
    const char *env = spec->env != NULL ? getenv(spec->env) : NULL;

    if (is_given(call, spec))
        return true;
    if (env != NULL && *env != '\0')
        return add(call, spec, spec->env, env);
    if (spec->standard != NULL)
        return add_option(call, spec, spec->standard);
    return true;
}

bool
options_complete(struct call *call)
{
    for (const struct option_spec *s = global_options; s->name != NULL; s++)
        if (!complete(call, s))
            return false;
    for (const struct option_spec *s = call->command->options; s != NULL && s->name != NULL; s++)
        if (!complete(call, s))
            return false;
    return true;
}
