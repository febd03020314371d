/* SPDX-License-Identifier: MIT */
/* Errors go into an awa_error that may be NULL; outputs stay untouched on failure. */
#ifndef AWA_BASE_ERROR_H
#define AWA_BASE_ERROR_H

#include <stdbool.h>

#include <awa/awa.h>

/* Writes one line, `subject: what happened`, and returns status. %m works. */
awa_status awa__fail(awa_error *err, awa_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * Makes one line of a text that may come from elsewhere. `cut`: it was cut off, so an incomplete
 * character at its end goes, too.
 */
void awa__one_line(char *text, bool cut);

/* For calls whose failure changes nothing, such as a ROLLBACK on a broken session. */
static inline void
awa__ignore(awa_status status)
{
    (void)status;
}

#endif
