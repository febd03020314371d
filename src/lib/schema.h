/* SPDX-License-Identifier: MIT */
/* Checks that this library and the schema of a database fit. */
#ifndef AWA_LIB_SCHEMA_H
#define AWA_LIB_SCHEMA_H

#include "base/error.h"

/*
 * ESCHEMA if the database has no schema or an older one. A newer schema fits: functions of the
 * engine keep their form for a release after they went out of use.
 */
awa_status awa__schema_check(PGconn *conn, awa_error *err) AWA_CHECKED;

#endif
