/* SPDX-License-Identifier: MIT */
/* Heartbeats, and the deadlines of running attempts. See heartbeat.c. */
#ifndef AWA_WORKER_HEARTBEAT_H
#define AWA_WORKER_HEARTBEAT_H

#include "worker/core.h"

awa_status heartbeat_greet(void *arg, PGconn *pg, awa_error *err);
/* Sends a heartbeat if it is due, and closes the session if a new identity is needed. */
void heartbeat_turn(struct awa_worker *w, int64_t now);
void heartbeat_watch(struct awa_worker *w, int64_t now);

#endif
