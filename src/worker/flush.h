/* SPDX-License-Identifier: MIT */
/* Tells the database how jobs ended. See flush.c. */
#ifndef AWA_WORKER_FLUSH_H
#define AWA_WORKER_FLUSH_H

#include "worker/core.h"

void flush_take_done(struct awa_worker *w);
void flush_turn(struct awa_worker *w, int64_t now);
int64_t flush_wait(const struct awa_worker *w, int64_t now);
bool flush_is_stuck(const struct awa_worker *w, int64_t now);

#endif
