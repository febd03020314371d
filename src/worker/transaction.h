/* SPDX-License-Identifier: MIT */
/* A transaction of an attempt: the handler's work in it and the end of the job commit together. */
#ifndef AWA_WORKER_TRANSACTION_H
#define AWA_WORKER_TRANSACTION_H

#include "worker/core.h"

/*
 * Ends the attempt's transaction: COMMIT with END_COMPLETED, else ROLLBACK. Sets job->end to what
 * came of it. A COMMIT whose answer was lost counts as failed; if it did happen, the retry that we
 * then send is stale and changes nothing.
 */
void transaction_end(struct awa_attempt *job);

/* Closes the sessions that were kept for later transactions. No attempt is left by then. */
void transaction_close_idle(struct awa_worker *w);

#endif
