/* SPDX-License-Identifier: MIT */
/* One program that runs for a job: what exec.c, exec_input.c and exec_end.c share. */
#ifndef AWA_EXEC_RUN_H
#define AWA_EXEC_RUN_H

#include <sys/types.h>

#include "base/error.h"
#include "base/own.h"
#include "run/exec.h"
#include "run/tail.h"

struct run {
    const struct exec *exec;
    awa_attempt *job;
    pid_t pid;
    int pidfd, out, err; /* -1: closed */
    int cancel;          /* readable when the attempt should end; borrowed; -1: none to be had */
    struct tail output, error;
    int64_t started_at; /* all times: monotonic ms */
    int64_t kill_at;    /* when the whole group gets SIGKILL; INT64_MAX: not yet known */
    bool told;          /* got SIGTERM, because the attempt should end */
    bool killed;        /* got SIGKILL */
    bool ended;         /* the program; others in its group may be left */
};

enum {
    EXEC_OUTPUT_MAX = 64 * 1024,
    EXEC_ERROR_MAX = 8192 - 128, /* bytes; the rest is for what we say in front of it */
    EXEC_VARIABLES = 7,
};

/* The environment of the program. */
struct environment {
    char *own[EXEC_VARIABLES];
    char **all; /* ours, and what we got ourselves; ends with NULL */
};

/* False: out of memory. */
bool environment_init(struct environment *e, const awa_attempt *job);
void auto_environment(struct environment *e);

/* The job as JSON, for standard input. */
awa_status exec_open_input(const awa_attempt *job, int *ret_fd, awa_error *err) AWA_CHECKED;

/* Keeps what the program said, and decides what becomes of its job. */
awa_outcome exec_conclude(struct run *r, int status);

#endif
