/* SPDX-License-Identifier: MIT */
#include "test_jobs.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "lib/migrate.h"
#include "statements_lib.h"
#include "test_migrate.h"

enum { MIGRATORS = 8 };

static int
newest(void)
{
    int n = 0;

    while (awa__schema_files[n].name != NULL)
        n++;
    return n;
}

/* ---- Tests ------------------------------------------------------------------------------- */

static void
a_second_migration_changes_nothing(void **state)
{
    /* The versions of the rows that describe functions: OR REPLACE writes new ones. */
    static const char rows[] = "SELECT string_agg(p.oid || ':' || p.xmin, ' ' ORDER BY p.oid)"
                               " FROM pg_proc AS p WHERE p.pronamespace = 'awa'::regnamespace";
    PGconn *db = *state;
    const char *before = test_text(db, rows);
    struct awa__migration done;
    awa_error err;

    test_ok(awa__migrate(db, MIGRATE, &done, &err), &err);
    assert_int_equal(done.from, newest());
    assert_int_equal(done.to, newest());
    assert_false(done.engine_applied);
    assert_string_equal(test_text(db, rows), before);
}

static void
a_database_of_another_encoding_is_refused(void **state)
{
    static const char *const encodings[] = { "LATIN1", "SQL_ASCII", "EUC_JP" };
    PGconn *db = *state;

    for (size_t i = 0; i < sizeof encodings / sizeof encodings[0]; i++) {
        const char *name = test_format("%s_fresh", PQdb(db));
        awa_error err;

        test_exec(db, test_format("CREATE DATABASE %s OWNER test_owner TEMPLATE template0"
                                  " ENCODING '%s' LOCALE 'C'",
                                  name, encodings[i]));
        AUTO(pgconn)
        PGconn *fresh = test_open(
            test_format("host=%s port=%s user=test_owner dbname=%s", PQhost(db), PQport(db), name));

        assert_int_equal(awa_migrate(fresh, &err), AWA_EINVAL);
        assert_non_null(strstr(
            err.message, test_format("the database's encoding is %s, want UTF8", encodings[i])));
        assert_int_equal(test_int(fresh, "SELECT count(*) FROM pg_namespace"
                                         " WHERE nspname = 'awa'"),
                         0);
        test_fresh_drop(db);
    }
}

static void
a_new_database_gets_every_file_and_the_engine(void **state)
{
    AUTO(pgconn) PGconn *fresh = test_open(test_fresh_dsn(*state));
    struct awa__migration done;
    awa_error err;

    test_ok(awa__migrate(fresh, MIGRATE, &done, &err), &err);
    assert_int_equal(done.from, 0);
    assert_int_equal(done.to, newest());
    assert_true(done.engine_applied);
    assert_int_equal(test_int(fresh, "SELECT count(*) FROM awa.schema_migrations"), newest());
    assert_string_equal(test_text(fresh, "SELECT checksum FROM awa.schema_engine"),
                        awa__engine_checksum);
    test_fresh_drop(*state);
}

static void
several_at_once_are_as_good_as_one(void **state)
{
    const char *dsn = test_fresh_dsn(*state);

    test_migrate_at_once(dsn, MIGRATORS);

    AUTO(pgconn) PGconn *fresh = test_open(dsn);

    assert_int_equal(test_int(fresh, "SELECT count(*) FROM awa.schema_migrations"), newest());
    test_fresh_drop(*state);
}

/* What a program does as it starts reads the tables only of a database that was moved. */
static void
a_moved_database_is_mended_by_whoever_migrates_first(void **state)
{
    static const char last[] = "SELECT pg_sequence_last_value('awa.job_ids') > 1";
    PGconn *db = *state;
    awa_error err;

    test_ok(awa_migrate(db, &err), &err); /* it is a copy of another one */
    for (int i = 0; i < 3; i++)
        test_insert(db);
    test_exec(db, "SELECT setval('awa.job_ids', 1)");
    test_ok(awa_migrate(db, &err), &err);
    assert_string_equal(test_text(db, last), "f");
    test_exec(db, "UPDATE awa.origin SET database = 0");
    test_ok(awa_migrate(db, &err), &err);
    assert_string_equal(test_text(db, last), "t");
    assert_string_equal(test_text(db, "SELECT awa.is_moved()"), "f");
}

static void
a_look_changes_nothing(void **state)
{
    PGconn *db = *state;
    AUTO(migration) struct awa__migration done = { 0 };
    awa_error err;

    test_ok(awa_migrate(db, &err), &err); /* it is a copy of another one */
    test_insert(db);
    test_exec(db, "SET default_transaction_read_only = on");
    test_ok(awa__migrate(db, MIGRATE_CHECK, &done, &err), &err);
    test_exec(db, "RESET default_transaction_read_only");
    assert_int_equal(done.found.n, 0);
    test_insert(db);
    test_exec(db, "SELECT setval('awa.job_ids', 1); UPDATE awa.origin SET database = 0;"
                  "GRANT SELECT ON awa.claims TO PUBLIC");
    test_ok(awa__migrate(db, MIGRATE_CHECK, &done, &err), &err);
    assert_true(done.found.n > 0);
    assert_string_equal(test_text(db, "SELECT awa.is_moved()"), "t");
    assert_int_equal(test_int(db, "SELECT pg_sequence_last_value('awa.job_ids')"), 1);
    assert_int_equal(PQtransactionStatus(db), PQTRANS_IDLE);
}

static void
a_changed_engine_is_applied_again(void **state)
{
    PGconn *db = *state;
    struct awa__migration done;
    awa_error err;

    test_exec(db, "UPDATE awa.schema_engine SET checksum = 'other'");
    test_ok(awa__migrate(db, MIGRATE, &done, &err), &err);
    assert_true(done.engine_applied);
    assert_int_equal(done.from, done.to);
    assert_string_equal(test_text(db, "SELECT checksum FROM awa.schema_engine"),
                        awa__engine_checksum);
}

static void
a_database_that_is_newer_is_left_alone(void **state)
{
    PGconn *db = *state;
    awa_error err;

    test_exec(db, "INSERT INTO awa.schema_migrations (version, name, checksum)"
                  " SELECT max(version) + 1, 'next', 'x' FROM awa.schema_migrations");
    test_exec(db, "UPDATE awa.schema_engine SET checksum = 'newer'");
    assert_int_equal(awa_migrate(db, &err), AWA_ESCHEMA);
    assert_non_null(strstr(err.message, test_format("schema %d", newest() + 1)));
    assert_non_null(strstr(err.message, test_format("knows %d", newest())));
    assert_non_null(strstr(err.message, "install"));
    assert_string_equal(test_text(db, "SELECT checksum FROM awa.schema_engine"), "newer");
    assert_int_equal(PQtransactionStatus(db), PQTRANS_IDLE);
}

static void
a_file_that_was_changed_after_it_was_applied_is_refused(void **state)
{
    PGconn *db = *state;
    awa_error err;

    test_exec(db, "UPDATE awa.schema_migrations SET checksum = 'x' WHERE version = 1");
    assert_int_equal(awa_migrate(db, &err), AWA_ESCHEMA);
    assert_non_null(strstr(err.message, awa__schema_files[0].name));
}

static void
a_ledger_with_a_hole_is_refused(void **state)
{
    PGconn *db = *state;
    awa_error err;

    test_exec(db, "DELETE FROM awa.schema_migrations WHERE version = 1");
    test_exec(db, "INSERT INTO awa.schema_migrations (version, name, checksum)"
                  " VALUES (1000, 'odd', 'x')");
    assert_int_equal(awa_migrate(db, &err), AWA_ESCHEMA);
}

static void
a_file_that_fails_leaves_nothing_behind(void **state)
{
    AUTO(pgconn) PGconn *fresh = test_open(test_fresh_dsn(*state));
    awa_error err;

    test_exec(fresh, "CREATE SCHEMA awa AUTHORIZATION awa_owner"
                     " CREATE TABLE settings (in_the_way int)");
    assert_int_equal(awa_migrate(fresh, &err), AWA_EDB);
    assert_memory_equal(err.message, "0001_", 5);
    assert_non_null(strstr(err.message, ": relation \"settings\" already exists"));
    assert_string_equal(test_text(fresh, "SELECT to_regclass('awa.schema_migrations') IS NULL"),
                        "t");
    assert_int_equal(PQtransactionStatus(fresh), PQTRANS_IDLE);
    test_fresh_drop(*state);
}

static void
everything_belongs_to_awa_owner(void **state)
{
    PGconn *db = *state;

    assert_string_equal(test_text(db,
                                  "SELECT string_agg(DISTINCT o.owner::text, ' ') FROM"
                                  " (SELECT c.relowner::regrole FROM pg_class AS c"
                                  "   WHERE c.relnamespace = 'awa'::regnamespace"
                                  "   UNION ALL SELECT p.proowner::regrole FROM pg_proc AS p"
                                  "   WHERE p.pronamespace = 'awa'::regnamespace"
                                  "   UNION ALL SELECT n.nspowner::regrole FROM pg_namespace AS n"
                                  "   WHERE n.nspname = 'awa') AS o (owner)"),
                        "awa_owner");
}

static void
an_engine_that_another_login_replaces_keeps_its_owner(void **state)
{
    PGconn *db = *state;
    awa_error err;

    test_exec(db, "DROP FUNCTION awa.to_ms(timestamptz) CASCADE");
    test_exec(db, "UPDATE awa.schema_engine SET checksum = 'other'");
    test_ok(awa_migrate(test_connect(db, "owner"), &err), &err);
    everything_belongs_to_awa_owner(state);
}

static void
a_session_inside_a_transaction_is_refused(void **state)
{
    PGconn *db = *state;
    awa_error err;

    test_exec(db, "BEGIN");
    assert_int_equal(awa_migrate(db, &err), AWA_EINVAL);
    assert_int_equal(PQtransactionStatus(db), PQTRANS_INTRANS);
}

static void
a_serializable_database_can_be_migrated_by_two(void **state)
{
    PGconn *db = *state;
    AUTO(pgconn) PGconn *fresh = test_open(test_fresh_dsn(db));
    awa_error err;

    test_exec(fresh, "SET default_transaction_isolation = 'serializable'");
    test_exec(fresh, "SET default_transaction_read_only = on");
    test_ok(awa_migrate(fresh, &err), &err);
    test_ok(awa_migrate(fresh, &err), &err);
    test_fresh_drop(db);
}

/* ---- From one engine to another ---------------------------------------------------------- */

/* What sessions and users see of the engine: its forms, and who may do what. */
static const char forms[] =
    "SELECT md5(string_agg(o.line, ' ' ORDER BY o.line)) FROM"
    " (SELECT format('%s %s %s %s', p.oid::regprocedure, pg_get_function_arguments(p.oid),"
    "   pg_get_function_result(p.oid), p.proacl) FROM pg_proc AS p"
    "   WHERE p.pronamespace = 'awa'::regnamespace"
    "  UNION ALL SELECT format('%s %s %s %s', a.attrelid::regclass, a.attname, a.atttypid::regtype,"
    "   c.relacl) FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid"
    "   WHERE c.relnamespace = 'awa'::regnamespace AND c.relkind = 'v' AND a.attnum > 0)"
    " AS o (line)";

/* Each text makes an engine that CREATE OR REPLACE alone could not make ours. */
static void
an_engine_of_any_other_form_becomes_ours(void **state)
{
    static const char *const olds[] = {
        /* a function that we have no more */
        "CREATE FUNCTION awa.retired(int) RETURNS int LANGUAGE sql RETURN 1",
        /* an overload that would make calls ambiguous */
        "CREATE FUNCTION awa.newest_id(int DEFAULT 1) RETURNS bigint LANGUAGE sql RETURN 1",
        /* another result */
        "DROP FUNCTION awa.newest_id();"
        "CREATE FUNCTION awa.newest_id() RETURNS int LANGUAGE sql RETURN 1",
        /* other columns */
        "DROP FUNCTION awa.ring_slots();"
        "CREATE FUNCTION awa.ring_slots() RETURNS TABLE (ready_slot int) LANGUAGE sql RETURN 1",
        /* another name of an argument */
        "DROP FUNCTION awa.get_job(bigint);"
        "CREATE FUNCTION awa.get_job(p_job bigint) RETURNS SETOF awa.jobs LANGUAGE sql"
        " AS 'SELECT NULL::awa.jobs'",
        /* a default that we have no more */
        "DROP FUNCTION awa.get_job(bigint);"
        "CREATE FUNCTION awa.get_job(p_id bigint DEFAULT 1) RETURNS SETOF awa.jobs LANGUAGE sql"
        " AS 'SELECT NULL::awa.jobs'",
        /* a procedure */
        "DROP FUNCTION awa.newest_id(); CREATE PROCEDURE awa.newest_id() LANGUAGE sql AS ''",
        /* a function of which another one of ours is made, and that one's only use of it */
        "CREATE FUNCTION awa.retired() RETURNS bigint LANGUAGE sql RETURN 1;"
        "CREATE OR REPLACE FUNCTION awa.newest_id() RETURNS bigint LANGUAGE sql STABLE"
        " RETURN awa.retired()",
        /* a view that we have no more, and functions that return its rows */
        "CREATE VIEW awa.retired AS SELECT 1 AS a;"
        "CREATE FUNCTION awa.retired_one() RETURNS awa.retired LANGUAGE sql AS 'SELECT 1';"
        "CREATE FUNCTION awa.retired_all() RETURNS awa.retired[] LANGUAGE sql"
        " AS 'SELECT NULL::awa.retired[]'",
        /* a view with a column that we have no more, functions that return its rows and views on
           it */
        "CREATE OR REPLACE VIEW awa.jobs AS SELECT r.id, r.kind, r.queue, r.args, r.state,"
        " r.priority, r.attempt, r.max_attempts, r.run_at, r.created_at, r.attempted_at,"
        " r.deadline_at, r.finalized_at, r.run_lease, r.worker_id, r.errors, r.output, r.tags,"
        " r.metadata, r.unique_key, r.enqueue_shard, r.ready_slot, r.pos,"
        " NULL::timestamptz AS dlq_at, NULL::text AS dlq_reason, NULL::jsonb AS options, 1 AS more"
        " FROM awa.ready_jobs AS r; CREATE VIEW awa.retired AS SELECT id FROM awa.jobs",
        /* a view with another column, made of a function that we have no more */
        "DROP VIEW awa.worker_list;"
        "CREATE FUNCTION awa.retired() RETURNS int LANGUAGE sql RETURN 1;"
        "CREATE VIEW awa.worker_list AS SELECT awa.retired() AS more",
        /* a trigger on a view, whose function we have no more */
        "CREATE FUNCTION awa.retired() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL;"
        " END'; CREATE TRIGGER retired AFTER DELETE ON awa.jobs EXECUTE FUNCTION awa.retired()",
        /* rights that we do not give */
        "GRANT EXECUTE ON FUNCTION awa.newest_id(), awa.cancel_job TO awa_viewer, PUBLIC;"
        "GRANT SELECT ON awa.ready_jobs TO awa_producer",
    };
    PGconn *db = *state;
    const char *ours = test_text(db, forms);

    for (size_t i = 0; i < sizeof olds / sizeof olds[0]; i++) {
        awa_error err;

        test_make_old(db, olds[i]);
        assert_string_not_equal(test_text(db, forms), ours);
        test_ok(awa_migrate(db, &err), &err);
        if (strcmp(test_text(db, forms), ours) != 0)
            fail_msg("another engine is left after: %s", olds[i]);
    }
}

static const char others[] = /* than newest_id, with what its own owner gave it */
    "SELECT string_agg(format('%s %s %s', p.oid, p.oid::regprocedure, (SELECT string_agg(a::text,"
    " ' ' ORDER BY a::text) FROM unnest(p.proacl) AS a)), ' ' ORDER BY p.oid) FROM pg_proc AS p "
    "WHERE p.pronamespace = 'awa'::regnamespace"
    " AND p.proname NOT IN ('newest_id', 'mine')";

static void
what_keeps_its_form_keeps_its_identity(void **state)
{
    PGconn *db = *state;
    PGconn *session = test_connect(db, "producer");
    const char *before, *view;
    awa_error err;

    test_exec(db, "GRANT EXECUTE ON FUNCTION awa.health() TO test_producer;"
                  "CREATE VIEW mine AS SELECT id FROM awa.jobs;"
                  "CREATE FUNCTION awa.mine() RETURNS int LANGUAGE sql RETURN 1");
    test_exec(session, "PREPARE add AS SELECT awa.insert_job('a')");
    test_exec(session, "EXECUTE add");
    test_make_old(db, "DROP FUNCTION awa.newest_id();"
                      "CREATE FUNCTION awa.newest_id() RETURNS int LANGUAGE sql RETURN 1");
    before = test_text(db, others);
    view = test_text(db, "SELECT 'awa.jobs'::regclass::oid");

    test_ok(awa_migrate(db, &err), &err);
    assert_string_equal(test_text(db, others), before);
    assert_string_equal(test_text(db, "SELECT 'awa.jobs'::regclass::oid"), view);
    test_exec(session, "EXECUTE add");
    assert_int_equal(test_int(db, "SELECT count(*) + awa.mine() FROM mine"), 3);
}

static void
a_view_that_gets_columns_stays_what_it_is(void **state)
{
    PGconn *db = *state;
    const char *ours = test_text(db, forms), *view;
    awa_error err;

    test_make_old(
        db, "DROP VIEW awa.worker_list;"
            "CREATE VIEW awa.worker_list AS SELECT w.worker_id, w.name FROM awa.workers AS w");
    test_exec(db, "CREATE VIEW mine AS SELECT name FROM awa.worker_list");
    view = test_text(db, "SELECT 'awa.worker_list'::regclass::oid");
    test_ok(awa_migrate(db, &err), &err);
    assert_string_equal(test_text(db, "SELECT 'awa.worker_list'::regclass::oid"), view);
    assert_string_equal(test_text(db, forms), ours);
}

/* Nothing of the user's goes away; it is named. */
static void
what_users_made_of_the_engine_is_in_the_way(void **state)
{
    static const struct {
        const char *make, *drop, *want;
    } cases[] = {
        { "CREATE VIEW mine AS SELECT awa.retired()", "DROP VIEW mine", "view public.mine" },
        { "CREATE TABLE mine (id int DEFAULT awa.retired())", "DROP TABLE mine",
          "default value for column id of table public.mine" },
        { "CREATE FUNCTION mine() RETURNS int LANGUAGE sql RETURN awa.retired()",
          "DROP FUNCTION mine", "function public.mine()" },
        { "CREATE DOMAIN mine AS int CHECK (VALUE > awa.retired())", "DROP DOMAIN mine",
          "constraint mine_check" },
    };
    PGconn *db = *state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *before;
        awa_error err;

        test_make_old(db, "CREATE FUNCTION awa.retired() RETURNS int LANGUAGE sql RETURN 1");
        test_exec(db, cases[i].make);
        before = test_text(db, forms);
        assert_int_equal(awa_migrate(db, &err), AWA_ESCHEMA);
        assert_string_equal(err.message,
                            test_format("migrate: %s is made of what changes in this version; "
                                        "drop it, migrate, make it again",
                                        cases[i].want));
        assert_string_equal(test_text(db, forms), before);
        test_exec(db, cases[i].drop);
        test_ok(awa_migrate(db, &err), &err);
    }
}

static void
an_engine_of_a_newer_awa_is_left_alone(void **state)
{
    PGconn *db = *state;
    const char *before;
    awa_error err;

    test_make_old(db, "UPDATE awa.schema_engine SET version = '1000.0';"
                      "CREATE FUNCTION awa.added() RETURNS int LANGUAGE sql RETURN 1");
    before = test_text(db, forms);
    assert_int_equal(awa_migrate(db, &err), AWA_ESCHEMA);
    assert_non_null(strstr(err.message, "the engine of awa 1000.0"));
    assert_non_null(strstr(err.message, AWA_VERSION));
    assert_non_null(strstr(err.message, "install"));
    assert_string_equal(test_text(db, forms), before);

    /* the very same engine is good, whoever applied it */
    test_exec(db,
              test_format("UPDATE awa.schema_engine SET checksum = '%s'", awa__engine_checksum));
    test_ok(awa_migrate(db, &err), &err);
    assert_string_equal(test_text(db, forms), before);
}

static void
an_engine_of_an_older_awa_is_replaced_and_signed(void **state)
{
    PGconn *db = *state;
    awa_error err;

    test_make_old(db, "UPDATE awa.schema_engine SET version = '0.0.1000'");
    test_ok(awa_migrate(db, &err), &err);
    assert_string_equal(test_text(db, "SELECT version FROM awa.schema_engine"), AWA_VERSION);
}

static void
versions_are_compared_by_their_numbers(void **state)
{
    static const struct {
        const char *in_force, *ours, *newer;
    } cases[] = {
        { "0.9.0", "0.10.0", "f" }, { "0.10.0", "0.9.0", "t" }, { "1.0", "1.0.0", "f" },
        { "2.0", "1.99.99", "t" },  { "0.1.0", "0.1.0", "f" },
    };
    PGconn *db = *state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        AUTO(pgresult) PGresult *res = NULL;
        awa_error err;

        test_exec(db,
                  test_format("UPDATE awa.schema_engine SET version = '%s'", cases[i].in_force));
        test_ok(awa__query(db, SQL_ENGINE_IN_FORCE, &cases[i].ours, &res, &err), &err);
        assert_string_equal(PQgetvalue(res, 0, 2), cases[i].newer);
    }
}

static void
several_replace_an_engine_once(void **state)
{
    PGconn *db = *state;
    const char *ours = test_text(db, forms);
    const char *dsn = test_dsn(db, NULL);

    test_make_old(db, "CREATE FUNCTION awa.retired() RETURNS int LANGUAGE sql RETURN 1");
    test_migrate_at_once(dsn, MIGRATORS);
    assert_string_equal(test_text(db, forms), ours);
    assert_string_equal(test_text(db, "SELECT count(DISTINCT (p.xmin::text, e.xmin::text))"
                                      " FROM pg_proc AS p, awa.schema_engine AS e"
                                      " WHERE p.pronamespace = 'awa'::regnamespace"),
                        "1");
}

/* Stopped by a lock at its last statement, then killed. */
static void
a_migration_that_is_killed_leaves_nothing(void **state)
{
    static const char migrators[] = "SELECT count(*) = %d FROM pg_stat_activity WHERE"
                                    " datname = current_database() AND application_name = 'killed'"
                                    " AND (wait_event_type = 'Lock' OR %d = 0)";
    PGconn *db = *state;
    PGconn *lock = test_connect(db, NULL);
    const char *dsn = test_format("%s application_name=killed", test_dsn(db, NULL));
    const char *before;
    pid_t pid;

    test_make_old(db, "CREATE FUNCTION awa.retired() RETURNS int LANGUAGE sql RETURN 1");
    before = test_text(db, forms);
    test_exec(lock, "BEGIN; SELECT FROM awa.schema_engine FOR UPDATE");
    pid = test_migrate_start(dsn, 0);
    test_wait_until(db, test_format(migrators, 1, 1), 20000);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    test_exec(lock, "COMMIT");
    test_wait_until(db, test_format(migrators, 0, 0), 20000);
    assert_string_equal(test_text(db, forms), before);
    assert_string_equal(test_text(db, "SELECT checksum FROM awa.schema_engine"), "old");
}

/* Else all that reads the view later would wait as long as the first reader. */
static void
a_migration_does_not_wait_for_long_readers(void **state)
{
    PGconn *db = *state;
    PGconn *reader = test_connect(db, NULL);
    awa_error err;

    test_exec(reader, "BEGIN; SELECT count(*) FROM awa.jobs");
    test_make_old(db, "CREATE FUNCTION awa.retired() RETURNS int LANGUAGE sql RETURN 1");
    test_exec(db, "SET statement_timeout = '20s'");
    assert_int_equal(awa_migrate(db, &err), AWA_EBUSY);
    assert_string_equal(err.sqlstate, "55P03");
    test_exec(reader, "COMMIT");
    test_ok(awa_migrate(db, &err), &err);
    assert_string_equal(test_text(db, "SHOW lock_timeout"), "0");
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_DB(a_second_migration_changes_nothing),
        TEST_DB(a_database_of_another_encoding_is_refused),
        TEST_DB(a_new_database_gets_every_file_and_the_engine),
        TEST_DB(several_at_once_are_as_good_as_one),
        TEST_DB(a_moved_database_is_mended_by_whoever_migrates_first),
        TEST_DB(a_look_changes_nothing),
        TEST_DB(a_changed_engine_is_applied_again),
        TEST_DB(a_database_that_is_newer_is_left_alone),
        TEST_DB(a_file_that_was_changed_after_it_was_applied_is_refused),
        TEST_DB(a_ledger_with_a_hole_is_refused),
        TEST_DB(a_file_that_fails_leaves_nothing_behind),
        TEST_DB(everything_belongs_to_awa_owner),
        TEST_DB(an_engine_that_another_login_replaces_keeps_its_owner),
        TEST_DB(a_session_inside_a_transaction_is_refused),
        TEST_DB(a_serializable_database_can_be_migrated_by_two),
        TEST_DB(an_engine_of_any_other_form_becomes_ours),
        TEST_DB(what_keeps_its_form_keeps_its_identity),
        TEST_DB(a_view_that_gets_columns_stays_what_it_is),
        TEST_DB(what_users_made_of_the_engine_is_in_the_way),
        TEST_DB(an_engine_of_a_newer_awa_is_left_alone),
        TEST_DB(an_engine_of_an_older_awa_is_replaced_and_signed),
        TEST_DB(versions_are_compared_by_their_numbers),
        TEST_DB(several_replace_an_engine_once),
        TEST_DB(a_migration_that_is_killed_leaves_nothing),
        TEST_DB(a_migration_does_not_wait_for_long_readers),
    };

    return TEST_RUN(tests);
}
