/* SPDX-License-Identifier: MIT */
/* A program that runs for a job: what exec.c, exec_input.c and exec_end.c share. */
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
    int cancel;          /* readable when the attempt should end; borrowed; -1: there is none */
    struct tail output, error;
    int64_t started_at; /* monotonic ms */
    int64_t kill_at;    /* monotonic ms: when be_firm() acts; INT64_MAX: not yet known, or done */
    bool told;          /* the group got SIGTERM, because the attempt should end */
    bool killed;        /* the group got SIGKILL */
    bool ended;         /* the program has ended; others in its group may be left */
};

enum {
    EXEC_OUTPUT_MAX = 64 * 1024,
    EXEC_ERROR_MAX = 8192 - 128, /* bytes; the rest is for what describe_end() adds */
    EXEC_VARIABLES = 7,
};

/* The environment of the program. */
struct environment {
    char *own[EXEC_VARIABLES];
    char **all; /* `own`, and the worker's environment; ends with NULL */
};

/* False: out of memory. */
bool environment_init(struct environment *e, const awa_attempt *job);
void auto_environment(struct environment *e);

/* Opens a file that holds the job as JSON, for standard input. */
awa_status exec_open_input(const awa_attempt *job, int *ret_fd, awa_error *err) AWA_CHECKED;

/* Keeps what the program printed, and decides how the attempt ends. status is of waitpid(). */
awa_outcome exec_conclude(struct run *r, int status);

#endif
