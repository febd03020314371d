/* SPDX-License-Identifier: MIT */
/* One run of a command: the words that lead to it, and the values of its options. */
#include "cli/command.h"

#include <string.h>

const struct option_spec global_options[] = {
    { .name = "dsn",
      .value = "URL",
      .env = "AWA_DATABASE_URL",
      .help = "libpq URL or string; then DATABASE_URL, PG*",
      .type = OPTION_TEXT },
    { .name = "dev", .help = "use the private cluster, starting it if need be" },
    { .name = "json", .help = "print JSON" },
    { .name = "quiet", .letter = 'q', .help = "print data and errors only" },
    { .name = "no-color", .env = "NO_COLOR", .help = "no colours" },
    { .name = "help", .letter = 'h', .help = "explain the command" },
    { .name = "version", .help = "print the version" },
    { 0 },
};

void
call_init(struct call *call, const struct command *root)
{
    *call = (struct call){ .root = root, .command = root };
    snprintf(call->words, sizeof call->words, "%s", root->name);
}

bool
call_enter(struct call *call, const char *word)
{
    const struct command *c = call->command->children;
    size_t end = strlen(call->words);

    while (c != NULL && c->name != NULL && strcmp(c->name, word) != 0)
        c++;
    if (c == NULL || c->name == NULL)
        return false;
    call->command = c;
    snprintf(call->words + end, sizeof call->words - end, " %s", word);
    return true;
}

/*
 * The value of an option that counts: the last one given, else the environment, else the default.
 */
static const struct given_option *
find(const struct call *call, const char *name)
{
    for (size_t i = call->ngiven; i-- > 0;)
        if (strcmp(call->given[i].spec->name, name) == 0)
            return &call->given[i];
    return NULL;
}

bool
call_flag(const struct call *call, const char *name)
{
    return find(call, name) != NULL;
}

const char *
call_text(const struct call *call, const char *name)
{
    const struct given_option *s = find(call, name);

    return s != NULL ? s->text : NULL;
}

int64_t
call_number(const struct call *call, const char *name)
{
    const struct given_option *s = find(call, name);

    return s != NULL ? s->number : -1;
}

const char *
call_each(const struct call *call, const char *name, size_t *next)
{
    while (*next < call->ngiven) {
        const struct given_option *s = &call->given[(*next)++];

        if (strcmp(s->spec->name, name) == 0)
            return s->text;
    }
    return NULL;
}
