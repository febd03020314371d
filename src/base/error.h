/* SPDX-License-Identifier: MIT */
/* Errors go into an awa_error that may be NULL; outputs stay untouched on failure. */
#ifndef AWA_BASE_ERROR_H
#define AWA_BASE_ERROR_H

#include <stdbool.h>

#include <awa/awa.h>

/* Writes one line, `subject: what happened`, and returns status. %m works. */
awa_status awa__fail(awa_error *err, awa_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Messages carry other people's text: on one line, and if it was cut, between two characters. */
void awa__one_line(char *text, bool cut);

/* Where a failure changes nothing any more, such as a ROLLBACK on a session that broke. */
static inline void
awa__ignore(awa_status status)
{
    (void)status;
}

#endif
