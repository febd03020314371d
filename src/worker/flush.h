/* SPDX-License-Identifier: MIT */
/* Tells the database how jobs ended. See flush.c. */
#ifndef AWA_WORKER_FLUSH_H
#define AWA_WORKER_FLUSH_H

#include "worker/core.h"

/* Takes the attempts that takers have ended out of the list `done`. */
void flush_take_done(struct awa_worker *w);

/* Sends the ends that are due now; now is monotonic ms. */
void flush_turn(struct awa_worker *w, int64_t now);

/* How many ms until ends are due; -1: none are waiting, or no session is ready. */
int64_t flush_wait(const struct awa_worker *w, int64_t now);

bool flush_is_stuck(const struct awa_worker *w, int64_t now);

#endif
