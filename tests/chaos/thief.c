/* SPDX-License-Identifier: MIT */
/* Guests of the database that take what workers need: locks, or connections; for a while. */
#include "process.h"

enum { HOGS_MAX = 300, HELD_MS = 1000 };

/*
 * What an administrator, or a cron job of one, does to tables; %s is the slot that is written to.
 * Locks are held for HELD_MS by us: pg_sleep() goes by the server's clock, which may be set back.
 */
static const char *const thefts[] = {
    "VACUUM FULL awa.deferred_jobs",
    "VACUUM FULL awa.workers",
    "REINDEX TABLE awa.claims_%s",
    "REINDEX TABLE awa.ready_entries_%s",
    "REINDEX TABLE awa.closures_%s",
    "ALTER TABLE awa.deferred_jobs SET (fillfactor = 90)",
    "ALTER TABLE awa.unique_keys SET (fillfactor = 90)",
    "BEGIN; LOCK TABLE awa.lanes IN ACCESS EXCLUSIVE MODE",
    "BEGIN; LOCK TABLE awa.claims_%s IN SHARE MODE",
    "BEGIN; LOCK TABLE awa.deferred_jobs IN ACCESS EXCLUSIVE MODE",
    "ANALYZE awa.ready_entries_%s",
    "VACUUM FULL awa.leaders",
};

/* Runs a statement of ours about the slot that is written to; false: it failed. */
static bool
run_on_current_slot(PGconn *conn, const char *format)
{
    AUTO(pgresult)
    PGresult *slot =
        query(conn, "SELECT ready_slot FROM awa.ring_rotations ORDER BY generation DESC LIMIT 1", 0,
              NULL);
    char sql[200];
    awa_error err;

    if (!succeeded(slot) || PQntuples(slot) == 0)
        return false;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* texts of the tables here */
    snprintf(sql, sizeof sql, format, PQgetvalue(slot, 0, 0));
#pragma GCC diagnostic pop
    if (awa__exec(conn, "guest", sql, &err) == AWA_OK)
        return true;
    fprintf(stderr, "guest: %s\n", err.message);
    return false;
}

/* Arguments: none, which theft. Gives up after 2 s, as a careful administrator would. */
int
thief_main(struct process *p)
{
    AUTO(pgconn) PGconn *conn = process_session(p, "SET lock_timeout = '2s'");

    if (conn == NULL)
        return 1;
    (void)run_on_current_slot(conn, thefts[guest_value(p) % (sizeof thefts / sizeof thefts[0])]);
    if (PQtransactionStatus(conn) == PQTRANS_INTRANS)
        sleep_ms(HELD_MS);
    return 0;
}

/* Arguments: for how many ms, which table. Locks a table of the ring, whole or one slot of it. */
int
locker_main(struct process *p)
{
    static const char *const tables[] = {
        "ready_entries",
        "claims",
        "closures",
        "done_entries",
        "ready_tombstones",
        "queue_terminal_count_deltas",
        "queue_terminal_live_counts",
    };
    AUTO(pgconn) PGconn *conn = process_session(p, "SET lock_timeout = '5s'");
    unsigned which = guest_value(p);
    char format[120];

    snprintf(format, sizeof format, "BEGIN; LOCK TABLE awa.%s%s IN ACCESS EXCLUSIVE MODE",
             tables[which / 2 % (sizeof tables / sizeof tables[0])], which % 2 == 0 ? "" : "_%s");
    if (conn != NULL && run_on_current_slot(conn, format))
        sleep_ms(guest_length_ms(p));
    return 0;
}

/* Takes the connections that are left; returns how many it has now. */
static size_t
hog(const struct process *p, PGconn **conns, size_t n)
{
    while (n < HOGS_MAX && !process_ends()) {
        PGconn *conn = PQconnectdb(p->dsn);

        if (PQstatus(conn) != CONNECTION_OK) {
            PQfinish(conn);
            break;
        }
        conns[n++] = conn;
    }
    return n;
}

/* Some workers lose their sessions now, and find no place for new ones. */
static void
shut_out(PGconn *conn)
{
    AUTO(pgresult)
    PGresult *res =
        query(conn,
              "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
              " WHERE usename = current_user AND query ~ 'awa' AND pid <> pg_backend_pid()"
              " ORDER BY random() LIMIT 3",
              0, NULL);
}

/* Argument: for how many ms. Takes every connection that a common user may have. */
int
hog_main(struct process *p)
{
    uint64_t until = mono_ns() + (uint64_t)guest_length_ms(p) * 1000000;
    PGconn *conns[HOGS_MAX];
    size_t n = hog(p, conns, 0);

    if (n > 0)
        shut_out(conns[0]);
    while (!process_ends() && mono_ns() < until) {
        n = hog(p, conns, n);
        sleep_ms(5);
    }
    while (n > 0)
        PQfinish(conns[--n]);
    return 0;
}
