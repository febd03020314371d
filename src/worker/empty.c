/* SPDX-License-Identifier: MIT */
/* Whether a worker has anything left to do. awa.h says what counts. */
#include <poll.h>
#include <string.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "statements_worker.h"
#include "worker/core.h"

enum {
    LOOK_MS = 25,      /* how often awa_worker_run_until_empty() looks */
    AGAIN_MS = 1000,   /* pause after a look that failed */
    STUCK_LOOKS = 200, /* after so many looks without a claim, what they saw is no work */
};

static awa_status
promote(PGconn *probe, bool *ret_some, awa_error *err)
{
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s = awa__query_timed(probe, SQL_LEADER_PROMOTE, (const char *[]){ NULL }, &res, err);

    if (s == AWA_OK)
        *ret_some = strcmp(PQgetvalue(res, 0, 0), "0") != 0;
    return s;
}

/* Jobs of a dead worker are work: they are rescued here, unless the worker never leads. */
static awa_status
rescue(const struct awa_worker *w, PGconn *probe, bool *ret_some, awa_error *err)
{
    AUTO(pgresult) PGresult *any = NULL;
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s = awa__query_timed(probe, SQL_LEADER_ANY_TO_RESCUE, NULL, &any, err);

    if (s != AWA_OK)
        return s;
    *ret_some = strcmp(PQgetvalue(any, 0, 0), "t") == 0;
    if (*ret_some && !w->no_leader)
        s = awa__query_timed(probe, SQL_LEADER_RESCUE, NULL, &res, err);
    return s;
}

static awa_status
ask_ready(const struct awa_worker *w, PGconn *probe, bool *ret_some, awa_error *err)
{
    AUTO(buffer) struct buffer queues = { 0 };
    AUTO(pgresult) PGresult *res = NULL;
    awa_status s;

    worker_queue_names(w, &queues);
    if (queues.failed)
        return awa__fail(err, AWA_ENOMEM, "worker: out of memory");
    s = awa__query_timed(probe, SQL_QUEUES_READY, (const char *[]){ queues.data }, &res, err);
    if (s == AWA_OK)
        *ret_some = strcmp(PQgetvalue(res, 0, 0), "{}") != 0;
    return s;
}

/* Whether the database may have work. Jobs that are due count, also before they are promoted. */
static awa_status
look(struct awa_worker *w, bool *ret_some, awa_error *err)
{
    PGconn **probe = &w->emptiness.probe;
    awa_status s = AWA_OK;

    *ret_some = false;
    if (*probe == NULL)
        s = awa_connect(w->conninfo, probe, err);
    if (s == AWA_OK && !w->no_leader)
        s = promote(*probe, ret_some, err);
    if (s == AWA_OK && !*ret_some)
        s = rescue(w, *probe, ret_some, err);
    if (s == AWA_OK && !*ret_some)
        s = ask_ready(w, *probe, ret_some, err);
    if (s != AWA_OK && PQstatus(*probe) != CONNECTION_OK)
        PQfinish(TAKE(*probe));
    return s;
}

/*
 * Only the second empty look in a row counts: during the first, a claim may have been on its way.
 */
awa_status
awa_worker_is_empty(awa_worker *worker, int *ret_empty, awa_error *reterr)
{
    awa_worker_stats stats = { .size = sizeof stats };
    struct emptiness *e;
    bool some, first;
    awa_status s;

    if (worker == NULL || ret_empty == NULL)
        return awa__fail(reterr, AWA_EINVAL, "empty: want a worker, and a place for the answer");
    e = &worker->emptiness;
    first = !e->looked_empty;
    e->looked_empty = false;
    *ret_empty = 0;
    awa_worker_get_stats(worker, &stats);
    if (stats.claimed != e->claimed || stats.running + stats.waiting > 0) {
        e->claimed = stats.claimed;
        e->stuck = 0;
        return AWA_OK;
    }
    if (stats.in_doubt > 0 || clock_ms() < e->look_at)
        return AWA_OK;
    s = look(worker, &some, reterr);
    if (s != AWA_OK) {
        e->look_at = clock_ms() + AGAIN_MS;
        return s;
    }
    e->stuck = some ? e->stuck + 1 : 0;
    e->looked_empty = !some;
    *ret_empty = some ? e->stuck > STUCK_LOOKS : !first;
    return AWA_OK;
}

awa_status
awa_worker_run_until_empty(awa_worker *worker, int64_t timeout_ms, awa_error *reterr)
{
    int64_t until = clock_ms() + timeout_ms;
    int empty = 0;
    awa_error err = { 0 };

    if (worker == NULL || !worker->io_started)
        return awa__fail(reterr, AWA_EINVAL, "empty: want a worker that was started");
    while (timeout_ms < 0 || clock_ms() < until) {
        if (awa_worker_is_empty(worker, &empty, &err) != AWA_OK)
            worker_log(worker, "empty: %s", err.message); /* the next look has a new session */
        if (empty)
            return AWA_OK;
        (void)poll(NULL, 0, LOOK_MS);
    }
    return awa__fail(reterr, AWA_EBUSY, "empty: there is work left after %lld ms",
                     (long long)timeout_ms);
}
