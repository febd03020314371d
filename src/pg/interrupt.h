/* SPDX-License-Identifier: MIT */
/*
 * SIGINT, SIGTERM and SIGHUP, unless they were ignored when the process started. Such a signal
 * cancels the statement that the command waits for, so that the server does not go on with it, and
 * ends the process. A command that has something to finish catches the signal instead.
 *
 * Signals that come within INTERRUPT_ONE_MS count as one: timeout(1) signals the process and then
 * its group, and a terminal or a supervisor may do so, too.
 */
#ifndef AWA_CLI_INTERRUPT_H
#define AWA_CLI_INTERRUPT_H

#include "pg/pg.h"

enum { INTERRUPT_ONE_MS = 500 };

/* Handles the signals. Called first of all. */
void interrupt_begin(void);

/* The session whose statement a signal cancels. */
void interrupt_watch(PGconn *conn);

/*
 * From here on the first signal only leaves a note, and the command finishes what it has begun.
 * With `cancel`, statements get INTERRUPT_PATIENCE_S for that, or the time until the second signal,
 * and are cancelled from then on. The next signal after that, or without `cancel` the second one,
 * ends the process.
 */
enum { INTERRUPT_PATIENCE_S = 5 };
void interrupt_catch(bool cancel);

/* The signal that was caught; 0: none was. */
int interrupt_signal(void);

/* Readable once a signal was caught; -1: there is no such descriptor. */
int interrupt_fd(void);

/* Fails if a signal was caught. */
awa_status interrupt_check(awa_error *err) AWA_CHECKED;

/*
 * Dies of the signal. Process 1 of a container, which the kernel spares, exits with 128 + signal.
 */
_Noreturn void interrupt_leave(int signal);

#endif
