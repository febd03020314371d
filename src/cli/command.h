/* SPDX-License-Identifier: MIT */
/*
 * Commands are a const tree, options a const table. Parsing, --help, completion and the check of
 * the manual read the same tables. When a command's function is called, the number of its arguments
 * and the form of its options have been checked.
 */
#ifndef AWA_CLI_COMMAND_H
#define AWA_CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/complain.h"

enum option_type {
    OPTION_FLAG,     /* takes no value */
    OPTION_TEXT,     /* if given twice, the last one counts, unless the command uses call_each() */
    OPTION_NUMBER,   /* 0 and up */
    OPTION_DURATION, /* 500ms, 5s, 2m, 1h, 3d; in ms */
};

struct option_spec {
    const char *name;     /* --name; the table ends with NULL */
    char letter;          /* -l; 0: none */
    const char *value;    /* name of the value in the help; NULL for a flag */
    const char *env;      /* variable that counts if the option is not given; NULL: none */
    const char *standard; /* the default, if neither is given; NULL: none */
    const char *help;
    enum option_type type;
    bool positive; /* a number or a time that cannot be 0 */
};

struct call;
typedef int command_run(struct call *call); /* returns an exit code */

struct command {
    const char *name;
    const char *summary;    /* one line, lower case, no full stop */
    const char *args;       /* synopsis of the positional arguments; NULL: none */
    int min_args, max_args; /* -1: any number */
    const struct option_spec *options;
    const char *notes;    /* lines below the options; NULL: none */
    const char *examples; /* lines */
    command_run *run;     /* NULL: has children instead */
    const struct command *children;
};

/* An option and its value: given, from the environment, or the default. */
struct given_option {
    const struct option_spec *spec;
    const char *text;
    int64_t number; /* of OPTION_NUMBER and OPTION_DURATION */
};

enum { GIVEN_MAX = 256, WORDS_MAX = 80 };

/* One run of a command. */
struct call {
    const struct command *root;
    const struct command *command;
    char words[WORDS_MAX]; /* awa dev start */
    char **args;           /* positional ones, borrowed from argv */
    int nargs;
    struct given_option given[GIVEN_MAX]; /* in the order given */
    size_t ngiven;
};

/* The options of every command. */
extern const struct option_spec global_options[];

/* Finds the command, parses its options and runs it. Returns the exit code. */
int command_main(const struct command *root, int argc, char **argv);

/* Starts a call at the root of a tree. */
void call_init(struct call *call, const struct command *root);

/* Goes down to the child with the name `word`; false: there is none. */
bool call_enter(struct call *call, const char *word);

/* Complains about a word that is no command here. Returns EXIT_USAGE. */
int call_refuse(const struct call *call, const char *word);

/* Values of options, by their names. */
bool call_flag(const struct call *call, const char *name);
const char *call_text(const struct call *call, const char *name); /* NULL: none */
int64_t call_number(const struct call *call, const char *name);   /* -1: none */

/* Each value of an option that may be repeated. Start with *next = 0; NULL: no more. */
const char *call_each(const struct call *call, const char *name, size_t *next);

#endif
