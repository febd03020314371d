/* SPDX-License-Identifier: MIT */
/* A job's own transaction: what the handler does in it and the end of its job commit together. */
#ifndef AWA_WORKER_TRANSACTION_H
#define AWA_WORKER_TRANSACTION_H

#include "worker/core.h"

/*
 * Ends the job's transaction as its outcome wants. A commit whose answer was lost may have
 * happened: then the retry that we report is stale, and changes nothing.
 */
void transaction_end(struct awa_attempt *job);

/* The sessions that are kept for the next ones. No attempt is left. */
void transaction_close_idle(struct awa_worker *w);

#endif
