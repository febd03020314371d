/* SPDX-License-Identifier: MIT */
/* The thread that maintains the queue. See leader.c. */
#ifndef AWA_WORKER_LEADER_H
#define AWA_WORKER_LEADER_H

#include "worker/core.h"

awa_status leader_start(struct awa_worker *w, awa_error *err) AWA_CHECKED;
void leader_join(struct awa_worker *w); /* resigns, and ends the thread; NULL leader: nothing */
int64_t leader_queries(const struct awa_worker *w);

#endif
