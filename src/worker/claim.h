/* SPDX-License-Identifier: MIT */
/* Claims jobs: how many, from which queue, and when. See claim.c. */
#ifndef AWA_WORKER_CLAIM_H
#define AWA_WORKER_CLAIM_H

#include "worker/core.h"

/* Sends the claims that are due now; now is monotonic ms. */
void claim_turn(struct awa_worker *w, int64_t now);
int64_t claim_wait(const struct awa_worker *w, int64_t now);
void claim_look(struct awa_worker *w, const char *queue);

#endif
