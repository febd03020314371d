/* SPDX-License-Identifier: MIT */
/* The thread that maintains the queue. See leader.c. */
#ifndef AWA_WORKER_LEADER_H
#define AWA_WORKER_LEADER_H

#include "worker/core.h"

/* Starts the thread. */
awa_status leader_start(struct awa_worker *w, awa_error *err) AWA_CHECKED;

/* Resigns, and ends the thread; does nothing if there is none. */
void leader_join(struct awa_worker *w);

/* How many statements the thread has sent; 0 if there is none. */
int64_t leader_queries(const struct awa_worker *w);

#endif
