/* SPDX-License-Identifier: MIT */
/* Guests of the database that take what workers need: locks, or connections; for a while. */
#include "process.h"

enum { HOGS_MAX = 300 };

/* What an administrator, or a cron job of one, does to tables; %s is the slot that is written to.
 */
static const char *const thefts[] = {
    "VACUUM FULL awa.deferred_jobs",
    "VACUUM FULL awa.workers",
    "REINDEX TABLE awa.claims_%s",
    "REINDEX TABLE awa.ready_entries_%s",
    "REINDEX TABLE awa.closures_%s",
    "ALTER TABLE awa.deferred_jobs SET (fillfactor = 90)",
    "ALTER TABLE awa.unique_keys SET (fillfactor = 90)",
    "BEGIN; LOCK TABLE awa.lanes IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(1); COMMIT",
    "BEGIN; LOCK TABLE awa.claims_%s IN SHARE MODE; SELECT pg_sleep(1); COMMIT",
    "BEGIN; LOCK TABLE awa.deferred_jobs IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(1); COMMIT",
    "ANALYZE awa.ready_entries_%s",
    "VACUUM FULL awa.leaders",
};

/* Argument: which theft. Gives up after 2 s, as a careful administrator would. */
int
thief_main(struct process *p)
{
    AUTO(pgconn) PGconn *conn = process_session(p, "SET lock_timeout = '2s'");
    AUTO(pgresult) PGresult *slot = NULL;
    size_t which = strtoul(p->argc > 0 ? p->argv[0] : "0", NULL, 10);
    char sql[200];
    awa_error err;

    if (conn == NULL)
        return 1;
    slot = query(conn, "SELECT ready_slot FROM awa.ring_rotations ORDER BY generation DESC LIMIT 1",
                 0, NULL);
    if (!succeeded(slot) || PQntuples(slot) == 0)
        return 1;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* texts of the table above */
    snprintf(sql, sizeof sql, thefts[which % (sizeof thefts / sizeof thefts[0])],
             PQgetvalue(slot, 0, 0));
#pragma GCC diagnostic pop
    if (awa__sql_exec(conn, "thief", sql, &err) != AWA_OK)
        fprintf(stderr, "thief: %s\n", err.message);
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
    uint64_t until = mono_ns() + strtoull(p->argc > 0 ? p->argv[0] : "1000", NULL, 10) * 1000000;
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
