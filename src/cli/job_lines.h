/* SPDX-License-Identifier: MIT */
/* Inserts many jobs that come as JSON lines. */
#ifndef AWA_CLI_JOB_LINES_H
#define AWA_CLI_JOB_LINES_H

#include "base/buffer.h"
#include "cli/command.h"
#include "pg/pg.h"

/* How many lines came, and what became of them. */
struct lines_report {
    int64_t lines;      /* lines that are not blank */
    int64_t inserted;   /* durable jobs */
    int64_t duplicates; /* jobs whose unique key a live job holds */
    int64_t bad;        /* bad lines; each was reported on stderr */
    int64_t done;       /* all lines up to this number are dealt with */
    bool interrupted;   /* a signal came; the rest was not read */
};

/* Makes a JSON list of the values of --follow; nothing, if it was not given. */
void follow_list(const struct call *call, struct buffer *list);

/*
 * Inserts a job for each line of fd. The options of the call are defaults for what a line leaves
 * out. A bad line is reported and passed over; with --strict it is an error, and nothing is
 * inserted. The report is right after an error, too.
 */
awa_status job_lines_insert(const struct call *call, PGconn *conn, int fd,
                            struct lines_report *report, awa_error *err) AWA_CHECKED;

#endif
