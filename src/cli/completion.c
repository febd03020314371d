/* SPDX-License-Identifier: MIT */
/* Makes a completion script for bash from the tables of the commands. */
#include "cli/help.h"

enum { PATH_MAX_LEN = 80 };

static void
print_options(FILE *out, const struct option_spec *o)
{
    for (; o != NULL && o->name != NULL; o++)
        fprintf(out, " --%s", o->name);
}

/* Prints a `case` for a command and each below it: which words may follow. */
static void
print_words(FILE *out, const char *path, const struct command *command)
{
    fprintf(out, "    '%s') words='", path);
    for (const struct command *c = command->children; c != NULL && c->name != NULL; c++)
        fprintf(out, "%s ", c->name);
    print_options(out, command->options);
    print_options(out, global_options);
    fputs("' ;;\n", out);

    for (const struct command *c = command->children; c != NULL && c->name != NULL; c++) {
        char longer[PATH_MAX_LEN];

        snprintf(longer, sizeof longer, "%s %s", path, c->name);
        print_words(out, longer, c);
    }
}

/* Prints the paths of all commands below this one, as alternatives of a `case`. */
static void
print_paths(FILE *out, const char *path, const struct command *command)
{
    for (const struct command *c = command->children; c != NULL && c->name != NULL; c++) {
        char longer[PATH_MAX_LEN];

        snprintf(longer, sizeof longer, "%s %s", path, c->name);
        fprintf(out, " | '%s'", longer);
        print_paths(out, longer, c);
    }
}

void
completion_bash(FILE *out, const struct command *root)
{
    fprintf(out,
            "# bash completion for %s; printed by: %s completion bash\n"
            "_%s() {\n"
            "    local cur=${COMP_WORDS[COMP_CWORD]} path=%s word words=\n"
            "    for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
            "        case \"$path $word\" in\n"
            "        ''",
            root->name, root->name, root->name, root->name);
    print_paths(out, root->name, root);
    fputs(") path=\"$path $word\" ;;\n"
          "        esac\n"
          "    done\n"
          "    case \"$path\" in\n",
          out);
    print_words(out, root->name, root);
    fprintf(out,
            "    esac\n"
            "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
            "}\n"
            "complete -o default -F _%s %s\n",
            root->name, root->name);
}
