/* SPDX-License-Identifier: MIT */
/* From the words of a command line to the function that does it. */
#include "cli/command.h"

#include <string.h>

#include "cli/help.h"
#include "cli/output.h"
#include "cli/settings.h"

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

int
call_refuse(const struct call *call, const char *word)
{
    const struct command *near = command_nearest(call->command, word);

    if (call->command->children == NULL)
        return usage_error("%s: has no subcommand '%s'", call->words, word);
    if (near != NULL)
        return usage_error("%s: there is no command '%s'; did you mean '%s'?", call->words, word,
                           near->name);
    return usage_error("%s: there is no command '%s'; see %s --help", call->words, word,
                       call->words);
}

/* The newest setting of that name: the last one given, else environment, else default. */
static const struct setting *
find(const struct call *call, const char *name)
{
    for (size_t i = call->nsettings; i-- > 0;)
        if (strcmp(call->settings[i].spec->name, name) == 0)
            return &call->settings[i];
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
    const struct setting *s = find(call, name);

    return s != NULL ? s->text : NULL;
}

int64_t
call_number(const struct call *call, const char *name)
{
    const struct setting *s = find(call, name);

    return s != NULL ? s->number : -1;
}

const char *
call_each(const struct call *call, const char *name, size_t *next)
{
    while (*next < call->nsettings) {
        const struct setting *s = &call->settings[(*next)++];

        if (strcmp(s->spec->name, name) == 0)
            return s->text;
    }
    return NULL;
}

/* Down the tree to a command that can run. Options of every level may stand in between. */
static int
find_command(struct call *call, int *argc, char ***argv)
{
    int rest;

    while (call->command->children != NULL) {
        if (!settings_parse(call, *argc, *argv, true, &rest))
            return EXIT_USAGE;
        *argc -= rest;
        *argv += rest;
        if (*argc == 0)
            return EXIT_DONE;
        if (!call_enter(call, **argv))
            return call_refuse(call, **argv);
    }
    if (!settings_parse(call, *argc, *argv, false, &rest))
        return EXIT_USAGE;
    *argc -= rest;
    *argv += rest;
    return EXIT_DONE;
}

static int
run(struct call *call)
{
    const struct command *c = call->command;

    if (c->run == NULL) {
        help_print(stderr, call->words, c);
        return EXIT_USAGE;
    }
    if (call->nargs < c->min_args)
        return usage_error("%s: wants %s; see %s --help", call->words, c->args, call->words);
    if (c->max_args >= 0 && call->nargs > c->max_args)
        return usage_error("%s: unexpected '%s'; see %s --help", call->words,
                           call->args[c->max_args], call->words);
    return c->run(call);
}

int
command_main(const struct command *root, int argc, char **argv)
{
    struct call call;
    int code;

    call_init(&call, root);
    code = find_command(&call, &argc, &argv);
    if (code != EXIT_DONE)
        return code;
    call.args = argv;
    call.nargs = argc;

    if (call_flag(&call, "help")) {
        help_print(stdout, call.words, call.command);
        return EXIT_DONE;
    }
    if (call_flag(&call, "version")) {
        printf("awa %s\n", awa_version());
        return EXIT_DONE;
    }
    if (!settings_complete(&call))
        return EXIT_USAGE;
    return run(&call);
}
