/* SPDX-License-Identifier: MIT */
/*
 * A migration that is killed after any of its statements leaves the database as it was: what
 * worked before works, what did not is refused, and the next run finishes as if it were the first.
 * That the catalog and all rows are those from before is shown after each kill; so one run at the
 * end stands for the next run after each of them.
 */
#include "test_jobs.h"
#include "test_migrate.h"

#include <string.h>

enum { MIGRATORS = 8, STATEMENTS_MIN = 30 };

/* The database that is migrated, and how it must be in the end. */
struct site {
    PGconn *db;  /* the test's, which is clean */
    PGconn *own; /* a superuser's session */
    const char *dsn, *clean;
};

static struct site
open_site(PGconn *db)
{
    struct site s = { .db = db, .dsn = test_fresh_dsn(db), .clean = test_catalog(db) };

    s.own = test_open(test_format("host=%s port=%s user=%s dbname=%s_fresh", PQhost(db), PQport(db),
                                  PQuser(db), PQdb(db)));
    test_exec(s.own, "SET client_min_messages = warning");
    return s;
}

static void
close_site(struct site *s)
{
    PQfinish(s->own);
    s->own = NULL;
    test_fresh_drop(s->db);
}

/* Once the server has noticed that the migrator is gone. */
static void
wait_alone(const struct site *s)
{
    test_wait_until(s->own,
                    "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = current_database()"
                    " AND pid <> pg_backend_pid() AND backend_type = 'client backend'",
                    20000);
}

/*
 * Kills one migrator after the other, each a statement later, until one is killed that has
 * committed; after each of the others, `still` must hold.
 */
static void
kill_after_each(const struct site *s, void (*still)(const struct site *))
{
    int n = 0;

    for (;;) {
        const char *catalog = test_catalog(s->own), *contents = test_contents(s->own);

        if (!test_migrate_killed(s->dsn, ++n))
            fail_msg("statement %d was not the last, and there was none after it", n - 1);
        wait_alone(s);
        if (strcmp(test_catalog(s->own), s->clean) == 0)
            break;
        assert_string_equal(test_catalog(s->own), catalog);
        assert_string_equal(test_contents(s->own), contents);
        still(s);
    }
    print_message("killed after each of %d statements\n", n);
    assert_true(n >= STATEMENTS_MIN);
    assert_false(test_migrate_killed(s->dsn, n)); /* the next run has nothing to do */
    assert_string_equal(test_catalog(s->own), s->clean);
}

/* Jobs can be inserted, completed and deleted, and are counted. */
static void
all_works(const struct site *s)
{
    test_exec(s->own, "SELECT awa.insert_job('k'), awa.insert_job('k'), awa.insert_job('k')");
    test_exec(s->own, "SELECT awa.register_worker(7, 'w', '{default}') WHERE NOT EXISTS"
                      " (SELECT 1 FROM awa.workers AS w WHERE w.secret = awa.worker_secret(7))");
    test_complete(s->own, "default", 2);
    test_exec(s->own, "DELETE FROM awa.jobs AS j USING (SELECT max(k.id) AS id, k.state FROM"
                      " awa.jobs AS k GROUP BY k.state) AS k WHERE j.id = k.id");
    test_counts(s->own);
}

/* ---- A new database ---------------------------------------------------------------------- */

static void
all_is_refused(const struct site *s)
{
    test_expect_error(s->own, "3F000", "SELECT awa.insert_job('k')");
    test_expect_error(s->own, "42P01", "DELETE FROM awa.jobs");
}

static void
an_installation_may_be_killed_after_each_of_its_statements(void **state)
{
    struct site s = open_site(*state);

    kill_after_each(&s, all_is_refused);
    all_works(&s);
    close_site(&s);
}

/* ---- A database of the first schema file, with jobs in every state ------------------------ */

/* What there is of an engine in it: jobs can be inserted, and no more. */
static const char old_insert[] =
    "CREATE FUNCTION awa.insert_job(p_kind text) RETURNS bigint LANGUAGE sql SECURITY DEFINER AS"
    " 'INSERT INTO awa.ready_entries (pos, id, enqueued_at, ready_slot, attempt, max_attempts,"
    " kind, args) SELECT nextval(l.positions), nextval(''awa.job_ids''), clock_timestamp(),"
    " (SELECT r.ready_slot FROM awa.ring_rotations AS r ORDER BY r.generation DESC LIMIT 1), 0,"
    " 25, p_kind, ''{}'' FROM awa.lanes AS l ORDER BY l.lane_id LIMIT 1 RETURNING id'";

/* What is still to come of a COPY: how it ended. */
static void
end_copy(PGconn *conn)
{
    PGresult *res;

    while ((res = PQgetResult(conn)) != NULL) {
        if (PQresultStatus(res) != PGRES_COMMAND_OK)
            fail_msg("%s", PQresultErrorMessage(res));
        PQclear(res);
    }
}

static void
begin_copy(PGconn *conn, const char *sql, ExecStatusType want)
{
    PGresult *res = PQexec(conn, sql);
    ExecStatusType status = PQresultStatus(res);

    PQclear(res);
    if (status != want)
        fail_msg("%s\n%s", sql, PQerrorMessage(conn));
}

/* Rows that a statement reads here are written there by another one. */
static void
copy_rows(PGconn *from, PGconn *to, const char *read, const char *write)
{
    char *row;
    int len;

    begin_copy(from, read, PGRES_COPY_OUT);
    begin_copy(to, write, PGRES_COPY_IN);
    while ((len = PQgetCopyData(from, &row, 0)) > 0) {
        assert_int_equal(PQputCopyData(to, row, len), 1);
        PQfreemem(row);
    }
    assert_int_equal(PQputCopyEnd(to, NULL), 1);
    end_copy(to);
    end_copy(from);
}

/*
 * What the columns held that are there no more: the sequences of a lane and of a queue; an id that
 * the owners of a gap are below; and gaps of two generations.
 */
static const struct {
    const char *table, *column, *value;
} old_columns[] = {
    { "queues", "hungry_until", "'awa.hungry_' || row_number() OVER (ORDER BY queue)" },
    { "lanes", "positions", "'awa.lane_' || lane_id" },
    { "lane_gaps", "gaps_xid", "pg_current_xact_id()" },
    { "claims", "gaps_old_xid", "pg_current_xact_id()" },
    { "claims", "gaps_young", "awa.all_gaps(gaps) - int8multirange(int8range(NULL, cursor - 3))" },
    { "claims", "gaps_old", "awa.all_gaps(gaps) * int8multirange(int8range(NULL, cursor - 3))" },
};

/* The columns of a table of the first schema file, each as the test's database can tell it. */
static const char *
values_of(const struct site *s, const char *table)
{
    const char *values = test_text(
        s->own, test_format("SELECT string_agg(a.attname, ', ' ORDER BY a.attnum) FROM pg_attribute"
                            " AS a WHERE a.attrelid = 'awa.%s'::regclass AND a.attnum > 0",
                            table));

    for (size_t i = 0; i < sizeof old_columns / sizeof old_columns[0]; i++)
        if (strcmp(old_columns[i].table, table) == 0) {
            const char *at = strstr(values, old_columns[i].column);

            assert_non_null(at);
            values = test_format("%.*s%s%s", (int)(at - values), values, old_columns[i].value,
                                 at + strlen(old_columns[i].column));
        }
    return values;
}

/* The sequences that the first schema file made, those of each lane and of each queue. */
static void
copy_sequences(const struct site *s)
{
    static const char *const statements[] = {
        "SELECT string_agg(format('SELECT setval(c.oid, %s, %L) FROM pg_class AS c WHERE c.oid ="
        " to_regclass(''awa.%I'')', coalesce(q.last_value, q.start_value), q.last_value IS NOT "
        "NULL,"
        " q.sequencename), ';') FROM pg_sequences AS q WHERE q.schemaname = 'awa' AND"
        " q.sequencename !~ '_gap_id_'",
        "SELECT string_agg(format('CREATE SEQUENCE awa.lane_%s MINVALUE %s MAXVALUE %s;"
        " SELECT setval(''awa.lane_%s'', %s, %L)', l.lane_id, l.lane_id::bigint << 44,"
        " ((l.lane_id + 1)::bigint << 44) - 1, l.lane_id, greatest(awa.last_position(l),"
        " l.lane_id::bigint << 44), awa.last_position(l) > 0), ';') FROM awa.lanes AS l",
        "SELECT string_agg(format('CREATE SEQUENCE awa.hungry_%s MINVALUE 0 START 0;"
        " SELECT nextval(''awa.queue_ids'')', row_number), ';') FROM (SELECT row_number() OVER ()"
        " FROM awa.queues) AS q",
    };

    for (size_t i = 0; i < sizeof statements / sizeof statements[0]; i++)
        test_exec(s->own, test_format("SET ROLE awa_owner; %s; RESET ROLE",
                                      test_text(s->db, statements[i])));
}

/* The jobs of the test's database, in the tables that the first schema file has. */
static void
copy_jobs(const struct site *s)
{
    static const char *const tables[] = {
        "queues", "lanes",    "lane_gaps",    "ring_rotations", "ready_entries", "ready_tombstones",
        "claims", "closures", "done_entries", "deferred_jobs",  "unique_keys",   "workers",
    };

    copy_sequences(s);
    test_exec(s->own, "DELETE FROM awa.ring_rotations");
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        copy_rows(s->db, s->own,
                  test_format("COPY (SELECT %s FROM awa.%s) TO STDOUT", values_of(s, tables[i]),
                              tables[i]),
                  test_format("COPY awa.%s FROM STDIN", tables[i]));
}

/* As awa migrate left it when there was one schema file. */
static void
make_first(const struct site *s)
{
    const struct awa__sql_file *file = &awa__schema_files[0];
    AUTO(pgconn) PGconn *owner = test_open(s->dsn);

    test_exec(owner, "BEGIN");
    test_exec(owner, awa__bootstrap);
    test_exec(owner, file->text);
    test_exec(owner, test_format("INSERT INTO awa.schema_migrations (version, name, checksum)"
                                 " VALUES (1, '%s', '%s')",
                                 file->name, file->checksum));
    test_exec(owner, "INSERT INTO awa.schema_engine (checksum, version) VALUES ('old', '0.0.1')");
    test_exec(owner, old_insert);
    test_exec(owner, "COMMIT");
    copy_jobs(s);
}

static const char ended[] = "SELECT coalesce(string_agg(c::text, ' '), '') FROM"
                            " (SELECT queue, completed, failed, cancelled FROM awa.queue_counts()"
                            " WHERE completed + failed + cancelled > 0 ORDER BY queue) AS c";

/* A job is inserted; what this database has no functions for is refused. */
static void
the_old_one_works(const struct site *s)
{
    test_exec(s->own, "SELECT awa.insert_job('k')");
    test_expect_error(s->own, "42883", "SELECT awa.complete_jobs(7, '{}', '{}', '{}')");
    test_expect_error(s->own, "42P01", "DELETE FROM awa.jobs");
}

/* History that nobody had counted is counted right at once, by scans; then by counters. */
static void
check_counts(const struct site *s)
{
    assert_string_equal(test_text(s->own, ended), test_text(s->db, ended));
    assert_string_equal(
        test_text(s->own, "SELECT terminal_counters_trusted_at IS NULL FROM awa.settings"), "t");
    test_exec(s->own, "SELECT awa.rebuild_terminal_counters()");
    assert_int_equal(test_int(s->own, "SELECT coalesce(sum(corrected), 0)::int FROM"
                                      " awa.rebuild_terminal_counters(true)"),
                     0);
    assert_string_equal(test_text(s->own, ended), test_text(s->db, ended));
    test_counts(s->own);
}

static void
an_upgrade_may_be_killed_after_each_of_its_statements(void **state)
{
    struct site s;

    test_shake(*state, 3, 400);
    assert_string_not_equal(test_text(*state, ended), "");
    s = open_site(*state);
    make_first(&s);
    kill_after_each(&s, the_old_one_works);
    check_counts(&s);
    all_works(&s);
    close_site(&s);
}

static void
eight_upgrade_a_database_at_once(void **state)
{
    struct site s;

    test_shake(*state, 4, 300);
    s = open_site(*state);
    make_first(&s);
    test_migrate_at_once(s.dsn, MIGRATORS);
    assert_string_equal(test_catalog(s.own), s.clean);
    check_counts(&s);
    close_site(&s);
}

/* ---- A database whose engine alone is older ----------------------------------------------- */

static void
a_new_engine_may_be_killed_after_each_of_its_statements(void **state)
{
    struct site s = open_site(*state);
    awa_error err;

    test_ok(awa_migrate(s.own, &err), &err);
    test_make_old(s.own, "CREATE FUNCTION awa.retired() RETURNS int LANGUAGE sql RETURN 1;"
                         "DROP FUNCTION awa.newest_id();"
                         "CREATE FUNCTION awa.newest_id() RETURNS bigint LANGUAGE sql STABLE"
                         " RETURN coalesce(pg_sequence_last_value('awa.job_ids'::regclass), 0)"
                         " * awa.retired()");
    kill_after_each(&s, all_works);
    all_works(&s);
    close_site(&s);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_DB(an_installation_may_be_killed_after_each_of_its_statements),
        TEST_DB(an_upgrade_may_be_killed_after_each_of_its_statements),
        TEST_DB(eight_upgrade_a_database_at_once),
        TEST_DB(a_new_engine_may_be_killed_after_each_of_its_statements),
    };

    return TEST_RUN(tests);
}
