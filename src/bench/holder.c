/* SPDX-License-Identifier: MIT */
#include "bench/holder.h"

#include "base/buffer.h"

/* Opens a session with an open transaction that the server does not end for being idle. */
static awa_status
hold(const char *conninfo, const char *begin, PGconn **ret_conn, awa_error *err)
{
    awa_status s = awa_connect(conninfo, ret_conn, err);

    if (s == AWA_OK)
        s = awa__exec(*ret_conn, "hold", "SET idle_in_transaction_session_timeout = 0", err);
    if (s == AWA_OK)
        s = awa__exec(*ret_conn, "hold", begin, err);
    return s;
}

static awa_status
hold_snapshot(struct holder *h, const char *conninfo, awa_error *err)
{
    awa_status s = hold(conninfo, "BEGIN ISOLATION LEVEL REPEATABLE READ", &h->reader, err);

    return s == AWA_OK ? awa__exec(h->reader, "hold", "SELECT pg_current_snapshot()", err) : s;
}

static awa_status
hold_job(struct holder *h, const char *conninfo, awa_error *err)
{
    awa_status s = hold(conninfo, "BEGIN", &h->writer, err);

    return s == AWA_OK ? awa_job_insert(h->writer, AWA_JOB(.kind = "bench"), NULL, err) : s;
}

/*
 * Opens a transaction in database postgres. Of two settings with the same name libpq takes the last
 * one.
 */
static awa_status
hold_elsewhere(struct holder *h, const char *conninfo, awa_error *err)
{
    AUTO(buffer) struct buffer other = { 0 };
    awa_status s;

    buffer_format(&other, "%s dbname=postgres", conninfo);
    if (other.failed)
        return awa__fail(err, AWA_ENOMEM, "hold: out of memory");
    s = hold(other.data, "BEGIN", &h->writer, err);
    return s == AWA_OK ? awa__exec(h->writer, "hold", "SELECT pg_current_xact_id()", err) : s;
}

int
holder_sessions(enum hold hold)
{
    static const int sessions[] = {
        [HOLD_NOTHING] = 0, [HOLD_SNAPSHOT] = 2, [HOLD_SAME] = 1, [HOLD_OTHER] = 0
    }; /* in the bench's own database */

    return sessions[hold];
}

awa_status
holder_init(struct holder *h, enum hold hold, const char *conninfo, awa_error *err)
{
    awa_status s = AWA_OK;

    if (hold == HOLD_SNAPSHOT)
        s = hold_snapshot(h, conninfo, err);
    if (s == AWA_OK && (hold == HOLD_SNAPSHOT || hold == HOLD_SAME))
        s = hold_job(h, conninfo, err);
    if (s == AWA_OK && hold == HOLD_OTHER)
        s = hold_elsewhere(h, conninfo, err);
    return s;
}

awa_status
holder_check(const struct holder *h, awa_error *err)
{
    awa_status s = AWA_OK;

    if (h->reader != NULL)
        s = awa__exec(h->reader, "hold", "SELECT 1", err);
    if (s == AWA_OK && h->writer != NULL)
        s = awa__exec(h->writer, "hold", "SELECT 1", err);
    return s;
}

void
holder_done(struct holder *h)
{
    PQfinish(h->reader);
    PQfinish(h->writer);
    *h = (struct holder){ 0 };
}
