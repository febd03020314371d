/* SPDX-License-Identifier: MIT */
/* Handler threads: a client of the pull door, through awa.h alone. */
#ifndef AWA_WORKER_POOL_H
#define AWA_WORKER_POOL_H

#include <awa/awa.h>

struct pool;

/* Starts threads that take attempts and call the handlers of kinds, which must live as long. */
awa_status pool_start(awa_worker *worker, const awa_kind *kinds, size_t nkinds, size_t nthreads,
                      struct pool **ret_pool, awa_error *err) AWA_CHECKED;

/* Waits for them; they end once the worker drains. Accepts NULL. */
void pool_join(struct pool *pool);

#endif
