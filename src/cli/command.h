/* SPDX-License-Identifier: MIT */
/*
 * Commands are a const tree, options a const table. Parsing, --help, completion and the check of
 * the manual read the same tables; a command's function is called with everything checked.
 */
#ifndef AWA_CLI_COMMAND_H
#define AWA_CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/complain.h"

enum option_type {
    OPTION_FLAG,     /* takes no value */
    OPTION_TEXT,     /* given twice, the last one counts, unless the command asks for each */
    OPTION_NUMBER,   /* 0 and up */
    OPTION_DURATION, /* 500ms, 5s, 2m, 1h, 3d; in ms */
};

struct option_spec {
    const char *name;     /* --name; the table ends with NULL */
    char letter;          /* -l; 0: none */
    const char *value;    /* what help calls the value; NULL for a flag */
    const char *env;      /* the variable that counts when the option is not given; NULL: none */
    const char *standard; /* the value when neither is given; NULL: none */
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

/* An option and the value it got, from wherever. */
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

/* What every command understands. */
extern const struct option_spec global_options[];

/* Finds, parses, runs. Returns the exit code. */
int command_main(const struct command *root, int argc, char **argv);

/* Starts a call at the root of a tree. */
void call_init(struct call *call, const struct command *root);

/* Goes down to the child called `word`; false: there is none. */
bool call_enter(struct call *call, const char *word);

/* Complains about a word that is no command here. Returns EXIT_USAGE. */
int call_refuse(const struct call *call, const char *word);

/* Values of options, by their names; the name must be in the tables. */
bool call_flag(const struct call *call, const char *name);
const char *call_text(const struct call *call, const char *name); /* NULL: none */
int64_t call_number(const struct call *call, const char *name);   /* -1: none */

/* Each value of an option that may be repeated. Start with *next = 0; NULL: no more. */
const char *call_each(const struct call *call, const char *name, size_t *next);

#endif
