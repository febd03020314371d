/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <pthread.h>
#include <string.h>

enum { MIGRATORS = 4 };

static int
newest(void)
{
    int n = 0;

    while (awa__schema_files[n].name != NULL)
        n++;
    return n;
}

/* The connection string of a database beside ours, without schema awa. */
static const char *
fresh_dsn(PGconn *db)
{
    const char *name = test_format("%s_fresh", PQdb(db));

    test_exec(db, test_format("CREATE DATABASE %s OWNER test_owner", name));
    return test_format("host=%s port=%s user=test_owner dbname=%s", PQhost(db), PQport(db), name);
}

static void
drop_fresh(PGconn *db)
{
    test_exec(db, test_format("DROP DATABASE %s_fresh WITH (FORCE)", PQdb(db)));
}

static PGconn *
open_dsn(const char *dsn)
{
    PGconn *conn = NULL;
    awa_error err;

    test_ok(awa_connect(dsn, &conn, &err), &err);
    return conn;
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

    test_ok(awa__migrate(db, &done, &err), &err);
    assert_int_equal(done.from, newest());
    assert_int_equal(done.to, newest());
    assert_false(done.engine_applied);
    assert_string_equal(test_text(db, rows), before);
}

static void
a_new_database_gets_every_file_and_the_engine(void **state)
{
    AUTO(pgconn) PGconn *fresh = open_dsn(fresh_dsn(*state));
    struct awa__migration done;
    awa_error err;

    test_ok(awa__migrate(fresh, &done, &err), &err);
    assert_int_equal(done.from, 0);
    assert_int_equal(done.to, newest());
    assert_true(done.engine_applied);
    assert_int_equal(test_int(fresh, "SELECT count(*) FROM awa.schema_migrations"), newest());
    assert_string_equal(test_text(fresh, "SELECT checksum FROM awa.schema_engine"),
                        awa__engine_checksum);
    drop_fresh(*state);
}

static void *
migrate_thread(void *dsn)
{
    static const char *const no = "no";
    AUTO(pgconn) PGconn *conn = NULL;
    struct awa__migration done = { 0 };

    if (awa_connect(dsn, &conn, NULL) != AWA_OK || awa__migrate(conn, &done, NULL) != AWA_OK)
        return (void *)(uintptr_t)no;
    return NULL;
}

static void
several_at_once_are_as_good_as_one(void **state)
{
    const char *dsn = fresh_dsn(*state);
    pthread_t threads[MIGRATORS];

    for (int i = 0; i < MIGRATORS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, migrate_thread, (void *)(uintptr_t)dsn),
                         0);
    for (int i = 0; i < MIGRATORS; i++) {
        void *trouble;

        assert_int_equal(pthread_join(threads[i], &trouble), 0);
        assert_null(trouble);
    }

    AUTO(pgconn) PGconn *fresh = open_dsn(dsn);

    assert_int_equal(test_int(fresh, "SELECT count(*) FROM awa.schema_migrations"), newest());
    drop_fresh(*state);
}

static void
a_changed_engine_is_applied_again(void **state)
{
    PGconn *db = *state;
    struct awa__migration done;
    awa_error err;

    test_exec(db, "UPDATE awa.schema_engine SET checksum = 'other'");
    test_ok(awa__migrate(db, &done, &err), &err);
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
    AUTO(pgconn) PGconn *fresh = open_dsn(fresh_dsn(*state));
    awa_error err;

    test_exec(fresh, "CREATE SCHEMA awa AUTHORIZATION awa_owner"
                     " CREATE TABLE settings (in_the_way int)");
    assert_int_equal(awa_migrate(fresh, &err), AWA_EDB);
    assert_memory_equal(err.message, "0001_", 5);
    assert_non_null(strstr(err.message, ": relation \"settings\" already exists"));
    assert_string_equal(test_text(fresh, "SELECT to_regclass('awa.schema_migrations') IS NULL"),
                        "t");
    assert_int_equal(PQtransactionStatus(fresh), PQTRANS_IDLE);
    drop_fresh(*state);
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
    AUTO(pgconn) PGconn *fresh = open_dsn(fresh_dsn(db));
    awa_error err;

    test_exec(fresh, "SET default_transaction_isolation = 'serializable'");
    test_exec(fresh, "SET default_transaction_read_only = on");
    test_ok(awa_migrate(fresh, &err), &err);
    test_ok(awa_migrate(fresh, &err), &err);
    drop_fresh(db);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_DB(a_second_migration_changes_nothing),
        TEST_DB(a_new_database_gets_every_file_and_the_engine),
        TEST_DB(several_at_once_are_as_good_as_one),
        TEST_DB(a_changed_engine_is_applied_again),
        TEST_DB(a_database_that_is_newer_is_left_alone),
        TEST_DB(a_file_that_was_changed_after_it_was_applied_is_refused),
        TEST_DB(a_ledger_with_a_hole_is_refused),
        TEST_DB(a_file_that_fails_leaves_nothing_behind),
        TEST_DB(everything_belongs_to_awa_owner),
        TEST_DB(an_engine_that_another_login_replaces_keeps_its_owner),
        TEST_DB(a_session_inside_a_transaction_is_refused),
        TEST_DB(a_serializable_database_can_be_migrated_by_two),
    };

    return TEST_RUN(tests);
}
