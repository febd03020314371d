/* SPDX-License-Identifier: MIT */
/* Ctrl-C: everything ends early, but the database is dropped. A second one ends us at once. */
#ifndef AWA_BENCH_INTERRUPT_H
#define AWA_BENCH_INTERRUPT_H

#include "lib/internal.h"

/* From here on SIGINT, SIGTERM and SIGHUP only leave a note, once each. */
void interrupt_catch(void);

/* The signal that came; 0: none. */
int interrupt_signal(void);

/* Fails with that if one came. */
awa_status interrupt_check(awa_error *err) AWA_CHECKED;

#endif
