/* SPDX-License-Identifier: MIT */
/* Reports errors: one line on stderr, `awa: subject: message`, and an exit code. */
#ifndef AWA_CLI_COMPLAIN_H
#define AWA_CLI_COMPLAIN_H

#include <awa/awa.h>

/* Exit codes, the same for every command; awa --help explains them. */
enum exit_code {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_NOT_FOUND = 3,
    EXIT_JOBS_FAILED = 4,
    EXIT_DUPLICATE = 5,
};

/* Prints `awa: ` and the message. Returns EXIT_USAGE, so that a caller can return it. */
int usage_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Prints `awa: ` and the error. Returns the exit code of its status. */
int report(const awa_error *err);

/* Prints `awa: ` and one line that may hold foreign text. Any thread may call it. */
void log_line(const char *line);

#endif
