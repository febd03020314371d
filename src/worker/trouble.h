/* SPDX-License-Identifier: MIT */
/* A worker that cannot begin jobs, or whose ends are refused, claims none for a while. */
#ifndef AWA_WORKER_TROUBLE_H
#define AWA_WORKER_TROUBLE_H

#include "worker/core.h"

/* Stops claims for a while, which is longer each time; *backoff_ms is how long, 0 at first. */
void trouble_pause(struct awa_worker *w, int64_t *backoff_ms);

/*
 * Notes that a job could not be begun here. Nothing is claimed for a while. After that the worker
 * holds one job more than run at present, until that job has begun. Unstarted jobs go to other
 * workers. A call during the pause does not make it longer: the jobs of one claim mostly fail for
 * one reason.
 */
void trouble_note(struct awa_worker *w, const char *why);

/*
 * Allows one more job for each that has begun since the last call, until the worker may fill all
 * its slots again.
 */
void trouble_recover(struct awa_worker *w);

#endif
