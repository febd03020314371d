/* SPDX-License-Identifier: MIT */
/* See plain_line.h. */
#include "cli/plain_line.h"

#include <string.h>

#define BLANKS " \t"

/* Characters without a special meaning for a shell, anywhere in a word. */
static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                            "_@%+=:,./-" BLANKS;

/* Words that shells do not run as programs: keywords and builtins of POSIX, sh and bash. */
static const char *const done_by_shells[] = {
    ".",       ":",       "alias",  "bg",       "bind",    "break",    "builtin",   "caller",
    "case",    "cd",      "chdir",  "command",  "compgen", "complete", "continue",  "coproc",
    "declare", "dirs",    "disown", "do",       "done",    "echo",     "elif",      "else",
    "enable",  "esac",    "eval",   "exec",     "exit",    "export",   "false",     "fc",
    "fg",      "fi",      "for",    "function", "getopts", "hash",     "help",      "history",
    "if",      "in",      "jobs",   "kill",     "let",     "local",    "logout",    "mapfile",
    "newgrp",  "popd",    "printf", "pushd",    "pwd",     "read",     "readarray", "readonly",
    "return",  "select",  "set",    "shift",    "shopt",   "source",   "suspend",   "test",
    "then",    "time",    "times",  "trap",     "true",    "type",     "typeset",   "ulimit",
    "umask",   "unalias", "unset",  "until",    "wait",    "while",
};

bool
plain_line(const char *line)
{
    const char *first = line + strspn(line, BLANKS);
    size_t len = strcspn(first, BLANKS);

    if (len == 0 || line[strspn(line, plain)] != '\0' || memchr(first, '=', len) != NULL)
        return false;
    for (size_t i = 0; i < sizeof done_by_shells / sizeof done_by_shells[0]; i++)
        if (strlen(done_by_shells[i]) == len && memcmp(done_by_shells[i], first, len) == 0)
            return false;
    return true;
}

char *
plain_line_next(char **rest)
{
    char *word = *rest + strspn(*rest, BLANKS), *end = word + strcspn(word, BLANKS);

    if (end == word)
        return NULL;
    *rest = end + (*end != '\0');
    *end = '\0';
    return word;
}
