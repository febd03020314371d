/* SPDX-License-Identifier: MIT */
/* What job_lines.c, which reads lines, and job_batch.c, which makes jobs of them, share. */
#ifndef AWA_CLI_JOB_INPUT_H
#define AWA_CLI_JOB_INPUT_H

#include "base/buffer.h"
#include "cli/bar.h"
#include "cli/job_lines.h"
#include "cli/lines.h"

enum {
    BATCH_LINES = 5000,
    BATCH_BYTES = 1024 * 1024,
    LINGER_MS = 100, /* how long a line waits for others, if they come slowly */
};

/* The columns of jobs_read.sql, and with them the parameters of jobs_insert.sql. */
enum column {
    PROBLEM,
    KIND,
    ARGS,
    QUEUE,
    PRIORITY,
    MAX_ATTEMPTS,
    RUN_AT,
    DELAY,
    TAGS,
    METADATA,
    UNIQUE_KEY,
    ORDERING_KEY,
    OPTIONS,
    COLUMNS,
};

enum { DEFAULTS = COLUMNS - 1 }; /* parameters of jobs_read.sql that options set */

struct input {
    const struct call *call;
    PGconn *conn;
    struct lines lines;
    struct lines_report *report;
    struct bar bar;
    bool strict;
    bool skip_duplicates;
    bool no_copy; /* this login may not use COPY */

    const char *defaults[DEFAULTS]; /* for KIND and the columns after it; NULL: none */
    struct buffer tags;             /* memory of the default of TAGS */
    char delay[24];                 /* memory of that of DELAY */
    struct buffer options;          /* and of OPTIONS */

    /* The batch. */
    struct buffer text; /* lines, with a line feed after each */
    size_t n;
    int64_t since;                /* monotonic ms: when the first of them came */
    int64_t numbers[BATCH_LINES]; /* of each line in the input */
    size_t ends[BATCH_LINES];     /* in text: where the line feed of each is */
};

/* Reports a bad line. Fails only with --strict. */
awa_status input_refuse(struct input *in, int64_t number, const char *what,
                        awa_error *err) AWA_CHECKED;

/* Lets Postgres read the lines of the batch, and inserts their jobs. */
awa_status batch_insert(struct input *in, awa_error *err) AWA_CHECKED;

#endif
