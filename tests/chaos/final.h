/* SPDX-License-Identifier: MIT */
/* What the database says in the end, as records beside the others. */
#ifndef CHAOS_FINAL_H
#define CHAOS_FINAL_H

#include "record.h"

/* As the query in final.c numbers them. */
enum state { STATE_COMPLETED, STATE_FAILED, STATE_CANCELLED, STATE_OTHER, STATE_BURIED };

/* Nothing runs or waits any more: reads every job, effect, worker and count. */
awa_status final_record(PGconn *conn, awa_error *err) AWA_CHECKED;

#endif
