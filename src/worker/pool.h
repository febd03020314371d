/* SPDX-License-Identifier: MIT */
/* The handler threads. See pool.c. */
#ifndef AWA_WORKER_POOL_H
#define AWA_WORKER_POOL_H

#include "worker/core.h"

awa_status pool_start(struct awa_worker *w, awa_error *err) AWA_CHECKED;
void pool_join(struct awa_worker *w);

#endif
