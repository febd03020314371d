/* SPDX-License-Identifier: MIT */
/*
 * SIGINT, SIGTERM and SIGHUP, unless whoever started us had them ignored. Such a signal cancels the
 * statement that the command waits for, so that the server does not go on with it, and ends the
 * process; a command that has something to finish catches it instead.
 *
 * Signals that come within INTERRUPT_ONE_MS count as one: timeout(1) signals the process and then
 * its group, and a terminal or a supervisor may do so, too.
 */
#ifndef AWA_CLI_INTERRUPT_H
#define AWA_CLI_INTERRUPT_H

#include "pg/pg.h"

enum { INTERRUPT_ONE_MS = 500 };

/* First of all. */
void interrupt_begin(void);

/* The session whose statement a signal cancels. */
void interrupt_watch(PGconn *conn);

/*
 * From here on the first signal only leaves a note: the command finishes what it has begun. With
 * `cancel`, statements get INTERRUPT_PATIENCE_S for that, or until the second signal, and are
 * cancelled from then on. A signal after that, or the second one, ends the process.
 */
enum { INTERRUPT_PATIENCE_S = 5 };
void interrupt_catch(bool cancel);

/* The signal that was caught; 0: none. */
int interrupt_signal(void);

/* Readable once a signal was caught; -1: there is no such descriptor. */
int interrupt_fd(void);

/* Fails if one was caught. */
awa_status interrupt_check(awa_error *err) AWA_CHECKED;

/* Dies of the signal; process 1 of a container, which the kernel spares, exits with 128 + signal.
 */
_Noreturn void interrupt_leave(int signal);

#endif
