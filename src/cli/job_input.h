/* SPDX-License-Identifier: MIT */
/* Lines on their way to jobs: what job_lines.c and job_batch.c share. */
#ifndef AWA_CLI_JOB_INPUT_H
#define AWA_CLI_JOB_INPUT_H

#include "base/buffer.h"
#include "cli/bar.h"
#include "cli/job_lines.h"
#include "cli/lines.h"

enum {
    BATCH_LINES = 5000,
    BATCH_BYTES = 1024 * 1024,
    LINGER_MS = 100, /* how long a line waits for company, if its input is slow */
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

enum { DEFAULTS = COLUMNS - 1 }; /* parameters of jobs_read.sql that come from options */

struct input {
    const struct call *call;
    PGconn *conn;
    struct lines lines;
    struct lines_report *report;
    struct bar bar;
    bool strict;
    bool skip_duplicates;
    bool no_copy; /* this role may not */

    const char *defaults[DEFAULTS]; /* of KIND and so on */
    struct buffer tags;             /* one of them */
    char delay[24], options[48];    /* two others */

    /* The batch. */
    struct buffer text; /* lines, with a line feed after each */
    size_t n;
    int64_t since; /* monotonic ms: when the first of them came */
    int64_t numbers[BATCH_LINES];
    size_t ends[BATCH_LINES]; /* in text: where the line feed of each is */
};

/* Reports a line. It fails only if one bad line is one too many. */
awa_status input_refuse(struct input *in, int64_t number, const char *what,
                        awa_error *err) AWA_CHECKED;

/* Reads and inserts the lines of the batch. */
awa_status batch_insert(struct input *in, awa_error *err) AWA_CHECKED;

#endif
