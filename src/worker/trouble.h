/* SPDX-License-Identifier: MIT */
/* A worker that cannot begin jobs, or end them, claims none for a while. */
#ifndef AWA_WORKER_TROUBLE_H
#define AWA_WORKER_TROUBLE_H

#include "worker/core.h"

/* Claim nothing for a while, which is longer each time; *backoff_ms is kept for that. */
void trouble_pause(struct awa_worker *w, int64_t *backoff_ms);

/*
 * A job came back that could not be begun. Nothing is claimed for a while, and then one job more
 * than those that run, until it has begun. What waits here goes to other workers. The jobs of one
 * claim say the same, one by one: that is one trouble.
 */
void trouble_note(struct awa_worker *w, const char *why);

/* Jobs that have begun since: one more at once for each, until the worker is what it was. */
void trouble_recover(struct awa_worker *w);

#endif
