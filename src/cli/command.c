/* SPDX-License-Identifier: MIT */
/* Finds the command that the words of a command line name, and runs it. */
#include "cli/command.h"

#include <string.h>

#include "cli/help.h"
#include "cli/output.h"
#include "cli/options.h"

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

/*
 * Goes down the tree, to a command without children if words are left. Options may stand between.
 */
static int
find_command(struct call *call, int *argc, char ***argv)
{
    int rest;

    while (call->command->children != NULL) {
        if (!options_parse(call, *argc, *argv, true, &rest))
            return EXIT_USAGE;
        *argc -= rest;
        *argv += rest;
        if (*argc == 0)
            return EXIT_DONE;
        if (!call_enter(call, **argv))
            return call_refuse(call, **argv);
    }
    if (!options_parse(call, *argc, *argv, false, &rest))
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
    if (!options_complete(&call))
        return EXIT_USAGE;
    return run(&call);
}
