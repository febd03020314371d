/* SPDX-License-Identifier: MIT */
/*
 * Verbs on many jobs at once, chosen by filters. Each page of jobs is a transaction of its own, so
 * the pages that are done stay done when one fails or the user interrupts.
 */
#ifndef AWA_CLI_BULK_H
#define AWA_CLI_BULK_H

#include "cli/command.h"
#include "pg/pg.h"

typedef awa_status bulk_call(PGconn *conn, const awa_bulk_options *options, awa_bulk_result *result,
                             awa_error *err);

struct bulk_verb {
    const char *done; /* what the jobs then are: "retried" */
    bulk_call *run;   /* does one page */
    bool letters;     /* dead letters, not failed jobs: --reason, --from and --to are filters */
    bool pruned;      /* also tell how many jobs are past retention */
};

/* The name of an option that was given and chooses jobs, or of --dry-run; NULL: none was given. */
const char *bulk_option(const struct call *call, const struct bulk_verb *verb);

/* Rows for the options of a command: filters of all verbs, filters of dead letters, the rest. */
#define BULK_FILTERS                                                                         \
    { .name = "kind",                                                                        \
      .letter = 'k',                                                                         \
      .value = "KIND",                                                                       \
      .help = "of this kind",                                                                \
      .type = OPTION_TEXT },                                                                 \
        { .name = "queue", .value = "QUEUE", .help = "in this queue", .type = OPTION_TEXT }, \
    {                                                                                        \
        .name = "tag", .value = "TAG", .help = "with this tag", .type = OPTION_TEXT          \
    }

#define LETTER_FILTERS                                                                  \
    { .name = "reason",                                                                 \
      .value = "REASON",                                                                \
      .help = "terminal_error, max_attempts_exhausted, deadline_exceeded, manual, ...", \
      .type = OPTION_TEXT },                                                            \
        { .name = "from",                                                               \
          .value = "TIME",                                                              \
          .help = "dead since then: 'yesterday', '2030-01-31 09:00'; 2h: so long ago",  \
          .type = OPTION_TEXT },                                                        \
    {                                                                                   \
        .name = "to", .value = "TIME", .help = "dead before then", .type = OPTION_TEXT  \
    }

#define BULK_REST                                                                \
    { .name = "all", .help = "all of them; needed where there is no filter" },   \
    {                                                                            \
        .name = "dry-run", .help = "change nothing; say how many, and show some" \
    }

/* Reads the options that say when and where dead letters run again. */
awa_status bulk_read_target(const struct call *call, PGconn *conn, awa_bulk_options *options,
                            awa_error *err) AWA_CHECKED;

/* Runs the verb on all pages and prints what it did. Returns an exit code. */
int bulk_run(const struct call *call, const struct bulk_verb *verb);

#endif
