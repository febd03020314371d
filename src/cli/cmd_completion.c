/* SPDX-License-Identifier: MIT */
/* awa completion: prints a completion script for a shell. */
#include "cli/commands.h"
#include "cli/help.h"
#include "cli/output.h"

static int
cmd_completion_bash(struct call *call)
{
    completion_bash(stdout, call->root);
    return EXIT_DONE;
}

const struct command completion_commands[] = {
    { .name = "bash",
      .summary = "print a script for bash",
      .examples = "source <(awa completion bash)",
      .run = cmd_completion_bash },
    { 0 },
};
