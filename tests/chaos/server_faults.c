/* SPDX-License-Identifier: MIT */
/*
 * See server_faults.h. What makes the server start anew returns when it takes connections again;
 * that moment is recorded as its end.
 */
#include "server_faults.h"

#include <poll.h>
#include <signal.h>

enum { SERVER_MS = 120000, SWITCHES = 12 };

/* A session as the administrator; in a database of its own if that is not NULL. */
static PGconn *
open_session(const struct faults *f, const char *database)
{
    char dsn[400];
    size_t n;

    place_dsn(f->place, NULL, -1, dsn, sizeof dsn);
    n = strlen(dsn);
    if (database != NULL)
        snprintf(dsn + n, sizeof dsn - n, " dbname=%s", database);
    return PQconnectdb(dsn);
}

PGresult *
server_ask(const struct faults *f, const char *sql)
{
    AUTO(pgconn) PGconn *conn = open_session(f, NULL);
    PGresult *res;

    if (PQstatus(conn) != CONNECTION_OK)
        return NULL;
    res = query(conn, sql, 0, NULL);
    if (succeeded(res) && PQntuples(res) > 0)
        return res;
    PQclear(res);
    return NULL;
}

void
faults_await_server(struct faults *f)
{
    uint64_t until = mono_ns() + SERVER_MS * 1000000ull;

    while (mono_ns() < until) {
        AUTO(pgresult) PGresult *res = NULL;
        awa_error err;

        if (place_postmaster(f->place) == 0 && place_start(f->place, &err) != AWA_OK)
            continue;
        res = server_ask(f, "SELECT pg_is_in_recovery()");
        if (res != NULL)
            return;
        (void)usleep(20000);
    }
    (void)awa__fail(&f->err, AWA_ESYS, "chaos: the server does not come back");
}

/* A process of the server, chosen by a condition on pg_stat_activity. */
static pid_t
find_backend(const struct faults *f, const char *condition)
{
    char sql[400];
    AUTO(pgresult) PGresult *res = NULL;

    snprintf(sql, sizeof sql,
             "SELECT pid FROM pg_stat_activity WHERE usename LIKE 'chaos_%%' AND %s"
             " ORDER BY random() LIMIT 1",
             condition);
    res = server_ask(f, sql);
    return res != NULL ? (pid_t)number_at(res, 0, 0) : 0;
}

static bool
terminate(const struct faults *f, const char *condition)
{
    pid_t pid = find_backend(f, condition);

    return pid != 0 && kill(pid, SIGTERM) == 0;
}

static const char *const conditions[FAULTS] = {
    [FAULT_BACKEND] = "true",
    [FAULT_CLAIMER] = "query ~ 'awa.claim_jobs|awa.heartbeat' AND usename = 'chaos_worker'",
    [FAULT_CLOSER] = "query ~ 'awa.complete_job|awa.close_jobs' AND usename = 'chaos_worker'",
    [FAULT_LEADER] = "query ~ 'awa.lead|awa.turn_ring|awa.promote|awa.rescue|awa.summ'"
                     " AND usename = 'chaos_worker'",
};

/*
 * The server ends all sessions when one of its processes was killed: a session of ours tells when
 * it has noticed. Before, it would still take connections, as if it had recovered already.
 */
static bool
kill_backend(const struct faults *f)
{
    AUTO(pgconn) PGconn *witness = open_session(f, NULL);
    pid_t pid = find_backend(f, conditions[FAULT_BACKEND]);
    struct pollfd fd = { .fd = PQsocket(witness), .events = POLLIN };

    if (PQstatus(witness) != CONNECTION_OK || pid == 0 || kill(pid, SIGKILL) != 0)
        return false;
    return poll(&fd, 1, SERVER_MS) == 1;
}

static bool
restart(struct faults *f, int signal)
{
    place_end_server(f->place, signal);
    faults_await_server(f);
    return true;
}

static bool
hit_backend(struct faults *f)
{
    if (!kill_backend(f))
        return false;
    faults_await_server(f);
    return true;
}

static bool
hit_disk(struct faults *f)
{
    if (f->place->disk[0] == '\0')
        return false;
    place_fill_disk(f->place);
    for (int i = 0; i < SWITCHES; i++) { /* segments that were there before are used up first */
        AUTO(pgresult) PGresult *res = server_ask(f, "SELECT pg_switch_wal()");

        if (res == NULL)
            break;
    }
    return true;
}

/* ---- A read-only database ---------------------------------------------------------------- */

/* From another database, for this one takes no such command meanwhile. */
static bool
set_read_only(const struct faults *f, const char *sql)
{
    AUTO(pgconn) PGconn *conn = open_session(f, "postgres");
    AUTO(pgresult) PGresult *set = query(conn, sql, 0, NULL);

    return succeeded(set);
}

static bool
end_sessions(const struct faults *f, const char *condition)
{
    char sql[300];
    AUTO(pgresult) PGresult *res = NULL;

    snprintf(sql, sizeof sql,
             "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
             " WHERE datname = current_database() AND pid <> pg_backend_pid() AND %s",
             condition);
    res = server_ask(f, sql);
    return res != NULL;
}

static bool
make_read_only(const struct faults *f)
{
    return set_read_only(f, "ALTER DATABASE awa SET default_transaction_read_only = on") &&
           end_sessions(f, "backend_type = 'client backend'");
}

/*
 * Workers must see for themselves that their sessions are of no use. Everybody else here would keep
 * one that was opened meanwhile, so they get new ones.
 */
static void
make_writable(struct faults *f)
{
    uint64_t until = mono_ns() + SERVER_MS * 1000000ull;

    faults_await_server(f);
    while (!set_read_only(f, "ALTER DATABASE awa RESET default_transaction_read_only"))
        if (mono_ns() > until) {
            (void)awa__fail(&f->err, AWA_ESYS, "chaos: the database stays read-only");
            return;
        }
    (void)end_sessions(f, "usename <> 'chaos_worker'");
}

/* ---- All of them ------------------------------------------------------------------------- */

bool
server_hit(struct faults *f, const struct planned *what)
{
    switch (what->fault) {
    case FAULT_BACKEND:
        return hit_backend(f);
    case FAULT_POSTMASTER:
        return restart(f, SIGKILL);
    case FAULT_FAST:
        return restart(f, SIGINT);
    case FAULT_IMMEDIATE:
        return restart(f, SIGQUIT);
    case FAULT_DISK:
        return hit_disk(f);
    case FAULT_STALL:
        return place_stop_server(f->place);
    case FAULT_SERVER_CLOCK:
        return place_step_clock(f->place, (int)step_at_first(what));
    case FAULT_READONLY:
        return make_read_only(f);
    default:
        return terminate(f, conditions[what->fault]);
    }
}

void
server_heal(struct faults *f, const struct planned *what)
{
    switch (what->fault) {
    case FAULT_DISK:
        place_empty_disk(f->place);
        faults_await_server(f);
        break;
    case FAULT_STALL:
        place_continue_server(f->place);
        break;
    case FAULT_SERVER_CLOCK:
        (void)place_step_clock(f->place, (int)step_in_the_end(what));
        break;
    default:
        make_writable(f);
    }
}
