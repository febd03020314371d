/* SPDX-License-Identifier: MIT */
/* The identities under which this worker is registered. See identity.c. */
#ifndef AWA_WORKER_IDENTITY_H
#define AWA_WORKER_IDENTITY_H

#include "worker/core.h"

awa_status identity_register(struct awa_worker *w, PGconn *pg, awa_error *err) AWA_CHECKED;
void identity_lose_claim(struct awa_worker *w);
awa_status identity_turn(struct awa_worker *w, awa_error *err) AWA_CHECKED;
void identity_bye(struct awa_worker *w);

#endif
