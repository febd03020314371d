/* SPDX-License-Identifier: MIT */
/* The handler threads. They take and end attempts through awa.h alone. */
#ifndef AWA_WORKER_POOL_H
#define AWA_WORKER_POOL_H

#include <awa/awa.h>

struct pool;

/*
 * Starts threads that take attempts and call the handlers of kinds, which must live until
 * pool_join(). *ret_pool is set also on failure, unless memory was short: it has the threads that
 * were started.
 */
awa_status pool_start(awa_worker *worker, const awa_kind *kinds, size_t nkinds, size_t nthreads,
                      struct pool **ret_pool, awa_error *err) AWA_CHECKED;

/* Waits for the threads, which end once the worker drains, and frees the pool. Accepts NULL. */
void pool_join(struct pool *pool);

#endif
