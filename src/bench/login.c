/* SPDX-License-Identifier: MIT */
#include "bench/login.h"

#include <sys/random.h>

#include "statements_pg.h"
#include "statements_worker.h"

awa_status
login_init(struct login *l, const char *conninfo, awa_error *err)
{
    AUTO(pgresult) PGresult *session = NULL;
    AUTO(pgresult) PGresult *registered = NULL;
    int64_t id = 0;
    awa_status s;

    if (getrandom(&id, sizeof id, 0) != sizeof id)
        return awa__fail(err, AWA_ESYS, "bench: no random number: %m");
    snprintf(l->worker, sizeof l->worker, "%lld", (long long)(id & INT64_MAX) | 1);
    s = awa_connect(conninfo, &l->conn, err);
    if (s == AWA_OK)
        s = awa__query(l->conn, SQL_WORKER_SESSION, (const char *[]){ "on" }, &session, err);
    if (s == AWA_OK)
        s = awa__query(l->conn, SQL_WORKER_REGISTER,
                       (const char *[]){ l->worker, "bench", "{default}", NULL, "t" }, &registered,
                       err);
    return s;
}

void
login_done(struct login *l)
{
    PQfinish(l->conn);
    l->conn = NULL;
}
