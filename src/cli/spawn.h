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
    int keep;   /* descriptor that the child inherits; -1: none */
    bool tied;  /* the child gets SIGINT when the thread that started it ends */
};

/*
 * Starts a child in a session of its own, with only PATH and LC_ALL in its environment. If the
 * program cannot be run, the child writes that to `output` and exits with 127.
 */
awa_status spawn_start(const struct spawn *what, pid_t *ret_pid, awa_error *err) AWA_CHECKED;

/* Waits for a child. True if it ended in time; *ret_status is then that of waitpid(). */
bool spawn_wait(pid_t pid, int timeout_ms, int *ret_status);

/* Waits until a process, child or not, has ended. False: it has not, after timeout_ms. */
bool process_wait(pid_t pid, int timeout_ms);

/* Milliseconds of a clock that never jumps. */
int64_t now_ms(void);

#endif
