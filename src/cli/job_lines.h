/* SPDX-License-Identifier: MIT */
/* Many jobs from JSON lines. */
#ifndef AWA_CLI_JOB_LINES_H
#define AWA_CLI_JOB_LINES_H

#include "cli/command.h"
#include "pg/pg.h"

/* What was made of the lines. */
struct lines_report {
    int64_t lines;      /* with something on them */
    int64_t inserted;   /* durable */
    int64_t duplicates; /* of the unique key of a live job */
    int64_t bad;        /* each was reported on stderr */
    int64_t done;       /* up to this line of the input nothing is left to do */
    bool interrupted;   /* by a signal; the rest was not read */
};

/*
 * Inserts a job for each line of fd. The options of the call are the defaults of what a line
 * leaves out. A bad line is reported and passed over; with --strict it is the end, and nothing
 * is inserted. The report is true in any case.
 */
awa_status job_lines_insert(const struct call *call, PGconn *conn, int fd,
                            struct lines_report *report, awa_error *err) AWA_CHECKED;

#endif
