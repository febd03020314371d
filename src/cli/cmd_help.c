/* SPDX-License-Identifier: MIT */
/* awa help: prints the help of a command. */
#include "cli/commands.h"
#include "cli/help.h"
#include "cli/output.h"

int
cmd_help(struct call *call)
{
    struct call topic;

    call_init(&topic, call->root);
    for (int i = 0; i < call->nargs; i++)
        if (!call_enter(&topic, call->args[i]))
            return call_refuse(&topic, call->args[i]);
    help_print(stdout, topic.words, topic.command);
    return EXIT_DONE;
}
