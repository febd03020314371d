/* SPDX-License-Identifier: MIT */
/* The I/O thread of a worker. */
#ifndef AWA_WORKER_IO_H
#define AWA_WORKER_IO_H

#include "worker/core.h"

/* Opens the sessions that are not open, and registers unless the worker is still known. Blocks. */
awa_status io_open_sessions(struct awa_worker *w, awa_error *err) AWA_CHECKED;

/* The thread; arg is the worker. It ends when the worker has drained, or in a hurry: see io.c. */
void *io_thread(void *arg);

#endif
