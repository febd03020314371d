/* SPDX-License-Identifier: MIT */
#include "bench/holder.h"

/* A session in an open transaction, which the server does not end for being idle. */
static awa_status
hold(const char *conninfo, const char *begin, PGconn **ret_conn, awa_error *err)
{
    awa_status s = awa_connect(conninfo, ret_conn, err);

    if (s == AWA_OK)
        s = awa__sql_exec(*ret_conn, "hold", "SET idle_in_transaction_session_timeout = 0", err);
    if (s == AWA_OK)
        s = awa__sql_exec(*ret_conn, "hold", begin, err);
    return s;
}

awa_status
holder_init(struct holder *h, const char *conninfo, awa_error *err)
{
    awa_status s = hold(conninfo, "BEGIN ISOLATION LEVEL REPEATABLE READ", &h->reader, err);

    if (s == AWA_OK)
        s = awa__sql_exec(h->reader, "hold", "SELECT pg_current_snapshot()", err);
    if (s == AWA_OK)
        s = hold(conninfo, "BEGIN", &h->writer, err);
    if (s == AWA_OK)
        s = awa_job_insert(h->writer, AWA_JOB(.kind = "bench"), NULL, err);
    return s;
}

awa_status
holder_check(const struct holder *h, awa_error *err)
{
    awa_status s = awa__sql_exec(h->reader, "hold", "SELECT 1", err);

    return s == AWA_OK ? awa__sql_exec(h->writer, "hold", "SELECT 1", err) : s;
}

void
holder_done(struct holder *h)
{
    PQfinish(h->reader);
    PQfinish(h->writer);
    *h = (struct holder){ 0 };
}
