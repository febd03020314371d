/* SPDX-License-Identifier: MIT */
/* A session on which a bench does, statement by statement, what a worker does. */
#ifndef AWA_BENCH_LOGIN_H
#define AWA_BENCH_LOGIN_H

#include "pg/pg.h"

struct login {
    PGconn *conn;
    char worker[24]; /* as it is registered, for the default queue */
};

awa_status login_init(struct login *l, const char *conninfo, awa_error *err) AWA_CHECKED;
void login_done(struct login *l);

#endif
