/* SPDX-License-Identifier: MIT */
/* Child processes without a shell, with a bound on every wait. */
#ifndef AWA_CLI_SPAWN_H
#define AWA_CLI_SPAWN_H

#include <stdbool.h>
#include <sys/types.h>

#include "cli/owner.h"

struct spawn {
    const char *const *argv; /* argv[0] is a path; ends with NULL */
    struct owner owner;
    int output; /* descriptor for stdout and stderr */
    int keep;   /* descriptor that it inherits; -1: none */
    bool tied;  /* gets SIGINT when the caller's thread ends; else lives on in its own session */
};

/* Starts a child with an empty environment. One that cannot run says so in its output. */
awa_status spawn_start(const struct spawn *what, pid_t *ret_pid, awa_error *err) AWA_CHECKED;

/* Waits for a child; true and its exit status, as waitpid() gives it, if it ended in time. */
bool spawn_wait(pid_t pid, int timeout_ms, int *ret_status);

/* Waits until a process, child or not, has ended. */
bool process_wait(pid_t pid, int timeout_ms);

/* Milliseconds of a clock that never jumps. */
int64_t now_ms(void);

#endif
