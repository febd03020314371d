/* SPDX-License-Identifier: MIT */
/*
 * Command lines: one word on each line, for the tree of the executable, whose commands only say
 * that they were called. What they get is what the tables promise.
 */
#include "fuzz.h"

#include <string.h>

#include "cli/command.h"
#include "cli/commands.h"

enum { WORDS_LIMIT = 400, COMMANDS_MAX = 100 };

static struct command copies[COMMANDS_MAX];
static size_t ncopies;
static int calls;

static bool
is_option_of(const struct option_spec *table, const struct option_spec *spec)
{
    for (; table != NULL && table->name != NULL; table++)
        if (table == spec)
            return true;
    return false;
}

static void
check_option(const struct call *call, const struct given_option *s)
{
    REQUIRE(is_option_of(global_options, s->spec) || is_option_of(call->command->options, s->spec));
    REQUIRE((s->text != NULL) == (s->spec->type != OPTION_FLAG) || s->spec->env != NULL);
    if (s->spec->type == OPTION_NUMBER || s->spec->type == OPTION_DURATION)
        REQUIRE(s->number >= 0 && *s->text != '\0');
}

static int
be_called(struct call *call)
{
    const struct command *c = call->command;

    calls++;
    REQUIRE(call->nargs >= c->min_args && (c->max_args < 0 || call->nargs <= c->max_args));
    REQUIRE(call->args[call->nargs] == NULL);
    REQUIRE(call->ngiven <= GIVEN_MAX && strlen(call->words) < WORDS_MAX);
    REQUIRE(!call_flag(call, "help") && !call_flag(call, "version"));
    for (size_t i = 0; i < call->ngiven; i++)
        check_option(call, &call->given[i]);
    return 7;
}

/* The same commands with another function. */
static const struct command *
copy_commands(const struct command *from)
{
    size_t n = 0;
    struct command *to = &copies[ncopies];

    while (from[n].name != NULL)
        n++;
    REQUIRE(ncopies + n < COMMANDS_MAX);
    memcpy(to, from, n * sizeof *to);
    ncopies += n + 1; /* the last one stays empty, and ends them */
    for (struct command *c = to; c < to + n; c++) {
        if (c->run != NULL)
            c->run = be_called;
        if (c->children != NULL)
            c->children = copy_commands(c->children);
    }
    return to;
}

static const struct command *
tree(void)
{
    static struct command root;

    if (root.name == NULL) {
        root = awa_command;
        root.children = copy_commands(root.children);
    }
    return &root;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct feed f = { data, size };
    char *words[WORDS_LIMIT + 1] = { strdup("awa") };
    char *argv[WORDS_LIMIT + 1]; /* getopt_long() moves words around */
    int argc = 1, code;

    fuzz_be_quiet();
    while (argc < WORDS_LIMIT && (words[argc] = feed_text(&f, '\n', NULL)) != NULL)
        argc++;
    words[argc] = NULL;
    memcpy(argv, words, sizeof argv);
    calls = 0;
    code = command_main(tree(), argc, argv);
    REQUIRE(calls > 0 ? code == 7 && calls == 1 : code == EXIT_DONE || code == EXIT_USAGE);
    while (argc > 0)
        free(words[--argc]);
    return 0;
}
