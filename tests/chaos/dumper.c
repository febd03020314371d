/* SPDX-License-Identifier: MIT */
/*
 * A guest that does what a cron job does at night: it dumps the database, and, to see what that is
 * worth, restores the dump into another one and writes down which jobs are there. Every other dump
 * is of a snapshot that we take and keep for some seconds before pg_dump locks anything, as it
 * would itself where there are many tables: meanwhile the ring turns, and we know to the
 * millisecond what must be in it. The others take their own snapshot, like everybody's.
 */
#include "cli/binaries.h"
#include "process.h"

struct dump {
    const struct process *p;
    PGconn *conn; /* its transaction has the snapshot */
    char snapshot[80], file[160], there[400], name[40];
    uint64_t from_ns, to_ns; /* what was committed before and lived after is in it */
};

static bool
run(const char *program, const char *const *arguments)
{
    AUTO(free) char *path = NULL;
    const char *argv[12] = { NULL };
    awa_error err;

    if (pg_client_program(program, &path, &err) != AWA_OK) {
        fprintf(stderr, "dumper: %s\n", err.message);
        return false;
    }
    argv[0] = path;
    for (int i = 0; arguments[i] != NULL; i++)
        argv[i + 1] = arguments[i];
    return process_run(argv);
}

static bool
take_snapshot(struct dump *d)
{
    AUTO(pgresult)
    PGresult *begun = query(d->conn, "BEGIN ISOLATION LEVEL REPEATABLE READ", 0, NULL);
    AUTO(pgresult) PGresult *res = query(d->conn, "SELECT pg_export_snapshot()", 0, NULL);

    if (!succeeded(begun) || !succeeded(res))
        return false;
    snprintf(d->snapshot, sizeof d->snapshot, "--snapshot=%s", PQgetvalue(res, 0, 0));
    d->to_ns = mono_ns();
    sleep_ms(guest_length_ms(d->p));
    return true;
}

static bool
dump(struct dump *d)
{
    bool ours = guest_value(d->p) % 2 == 0;

    d->from_ns = mono_ns();
    if (ours && !take_snapshot(d))
        return false;
    if (!run("pg_dump", (const char *const[]){ "-Fc", "-Z1", "-f", d->file, "-d", d->p->dsn,
                                               ours ? d->snapshot : NULL, NULL }))
        return false;
    d->to_ns = ours ? d->to_ns : mono_ns();
    return true;
}

static bool
restore(struct dump *d)
{
    char sql[100];
    AUTO(pgresult) PGresult *ended = query(d->conn, "ROLLBACK", 0, NULL);
    AUTO(pgresult) PGresult *made = NULL;

    snprintf(sql, sizeof sql, "CREATE DATABASE %s TEMPLATE template0", d->name);
    made = query(d->conn, sql, 0, NULL);
    return succeeded(made) &&
           run("pg_restore", (const char *const[]){ "-d", d->there, d->file, NULL });
}

/* What is in it. */
static bool
read_jobs(const struct dump *d)
{
    AUTO(pgconn) PGconn *conn = PQconnectdb(d->there);
    AUTO(pgresult)
    PGresult *res = query(conn,
                          "SELECT args ->> 'k', id,"
                          "       state IN ('available', 'scheduled', 'retryable', 'running')"
                          "  FROM awa.jobs",
                          0, NULL);

    for (int i = 0; succeeded(res) && i < PQntuples(res); i++)
        record_write((struct record){ .op = OP_DUMPED,
                                      .phase = PHASE_OK,
                                      .key = (uint64_t)number_at(res, i, 0),
                                      .job = (uint64_t)number_at(res, i, 1),
                                      .res = PQgetvalue(res, i, 2)[0] == 't' });
    return succeeded(res);
}

static void
forget(const struct dump *d)
{
    AUTO(pgconn) PGconn *conn = PQconnectdb(d->p->dsn);
    char sql[100];
    AUTO(pgresult) PGresult *res = NULL;

    snprintf(sql, sizeof sql, "DROP DATABASE IF EXISTS %s WITH (FORCE)", d->name);
    res = query(conn, sql, 0, NULL);
    (void)unlink(d->file);
}

int
dumper_main(struct process *p)
{
    struct dump d = { .p = p };
    struct record r = record_begin((struct record){ .op = OP_DUMP });
    bool good;

    d.conn = process_session(p, NULL);
    snprintf(d.name, sizeof d.name, "dump_%u", p->proc);
    snprintf(d.file, sizeof d.file, "%s/%s", p->dir, d.name);
    snprintf(d.there, sizeof d.there, "%s dbname=%s", p->dsn, d.name);
    good = d.conn != NULL && dump(&d) && restore(&d) && read_jobs(&d);
    r.claim = d.from_ns;
    r.position = d.to_ns;
    record_end(r, good ? PHASE_OK : PHASE_FAIL);
    PQfinish(d.conn);
    forget(&d);
    return 0;
}
