/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <string.h>

#include "base/clock.h"

/* A session of awa_connect(), with something added to the connection string. */
static PGconn *
open_with(PGconn *db, const char *extra)
{
    PGconn *conn = NULL;
    awa_error err;

    test_ok(awa_connect(test_format("%s %s", test_dsn(db, NULL), extra), &conn, &err), &err);
    return conn;
}

static const char *
option_of(PGconn *conn, const char *keyword)
{
    AUTO(conninfo) PQconninfoOption *options = PQconninfo(conn);

    for (const PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++)
        if (strcmp(o->keyword, keyword) == 0)
            return o->val != NULL ? test_format("%s", o->val) : NULL;
    return NULL;
}

static void
a_session_has_deadlines_at_both_ends(void **state)
{
    static const struct {
        const char *name, *want;
    } server[] = {
        { "jit", "off" },
        { "application_name", "awa" },
        { "client_connection_check_interval", "2s" },
        { "idle_in_transaction_session_timeout", "1min" },
        { "default_transaction_isolation", "read committed" },
        { "DateStyle", "ISO, MDY" },
        { "IntervalStyle", "postgres" },
        { "client_encoding", "UTF8" },
    };
    AUTO(pgconn) PGconn *conn = open_with(*state, "");

    for (size_t i = 0; i < sizeof server / sizeof server[0]; i++)
        assert_string_equal(test_text(conn, test_format("SHOW %s", server[i].name)),
                            server[i].want);
    assert_string_equal(option_of(conn, "connect_timeout"), "5");
    assert_string_equal(option_of(conn, "tcp_user_timeout"), "10000");
    assert_string_equal(option_of(conn, "keepalives_idle"), "5");
}

static void
what_the_connection_string_says_goes_first(void **state)
{
    AUTO(pgconn)
    PGconn *conn =
        open_with(*state, "connect_timeout=9 application_name=mine keepalives_idle=77 "
                          "options='-c jit=on -c idle_in_transaction_session_timeout=7s'");

    assert_string_equal(option_of(conn, "connect_timeout"), "9");
    assert_string_equal(option_of(conn, "keepalives_idle"), "77");
    assert_string_equal(option_of(conn, "keepalives_count"), "3");
    assert_string_equal(test_text(conn, "SHOW application_name"), "mine");
    assert_string_equal(test_text(conn, "SHOW jit"), "on");
    assert_string_equal(test_text(conn, "SHOW idle_in_transaction_session_timeout"), "7s");
}

static void
what_the_environment_says_goes_first(void **state)
{
    setenv("PGAPPNAME", "shell", 1);
    setenv("PGCONNECT_TIMEOUT", "8", 1);
    AUTO(pgconn) PGconn *conn = open_with(*state, "");

    unsetenv("PGAPPNAME");
    unsetenv("PGCONNECT_TIMEOUT");
    assert_string_equal(test_text(conn, "SHOW application_name"), "shell");
    assert_string_equal(option_of(conn, "connect_timeout"), "8");
}

static void
what_a_service_file_says_goes_first(void **state)
{
    char path[] = "/tmp/awa-service-XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_true(dprintf(fd, "[far]\nkeepalives_idle=66\nconnect_timeout=6\n") > 0);
    assert_int_equal(close(fd), 0);
    setenv("PGSERVICEFILE", path, 1);
    AUTO(pgconn) PGconn *conn = open_with(*state, "service=far");

    unsetenv("PGSERVICEFILE");
    assert_int_equal(unlink(path), 0);
    assert_string_equal(option_of(conn, "keepalives_idle"), "66");
    assert_string_equal(option_of(conn, "connect_timeout"), "6");
    assert_string_equal(option_of(conn, "tcp_user_timeout"), "10000");
}

static void
a_role_keeps_its_deadlines_but_not_its_odd_formats(void **state)
{
    PGconn *db = *state;

    test_exec(db, test_format("ALTER ROLE test_viewer IN DATABASE %s "
                              "SET idle_in_transaction_session_timeout = '9s'",
                              PQdb(db)));
    test_exec(db, test_format("ALTER ROLE test_viewer IN DATABASE %s SET DateStyle = 'German'",
                              PQdb(db)));
    test_exec(db, test_format("ALTER DATABASE %s "
                              "SET default_transaction_isolation = 'serializable'",
                              PQdb(db)));

    PGconn *viewer = test_connect(db, "viewer");

    assert_string_equal(test_text(viewer, "SHOW idle_in_transaction_session_timeout"), "9s");
    assert_string_equal(test_text(viewer, "SHOW DateStyle"), "ISO, DMY");
    assert_string_equal(test_text(viewer, "SHOW default_transaction_isolation"), "read committed");
}

static void
texts_are_utf8_whatever_anybody_says(void **state)
{
    PGconn *db = *state;

    test_exec(db, test_format("ALTER DATABASE %s SET client_encoding = 'LATIN1'", PQdb(db)));
    setenv("PGCLIENTENCODING", "LATIN1", 1);
    AUTO(pgconn) PGconn *ours = open_with(db, "");
    AUTO(pgconn) PGconn *explicit = open_with(db, "client_encoding=LATIN1");

    unsetenv("PGCLIENTENCODING");
    assert_string_equal(test_text(ours, "SHOW client_encoding"), "UTF8");
    assert_string_equal(test_text(explicit, "SHOW client_encoding"), "UTF8");
    assert_string_equal(pg_encoding_to_char(PQclientEncoding(ours)), "UTF8");
}

static void
nobody_there_is_econn_in_one_line(void **state)
{
    static const char *const nowhere[] = {
        "host=/nonexistent",
        "postgresql://127.0.0.1:1/x",
        "host=127.0.0.1 port=1 connect_timeout=2",
        "service=nonesuch",
        "no such option=1",
        "postgresql://[::1",
    };

    (void)state;
    for (size_t i = 0; i < sizeof nowhere / sizeof nowhere[0]; i++) {
        PGconn *conn = NULL;
        awa_error err;

        assert_int_equal(awa_connect(nowhere[i], &conn, &err), AWA_ECONN);
        assert_null(conn);
        assert_memory_equal(err.message, "connect: ", 9);
    }
}

/* ---- Waits that end ---------------------------------------------------------------------- */

static awa_status
ask_within(PGconn *conn, const char *sql, int timeout_ms, awa_error *err)
{
    AUTO(pgresult) PGresult *res = NULL;

    return awa__await_result(conn, PQsendQuery(conn, sql), "question", timeout_ms, &res, err);
}

static void
a_server_that_is_silent_is_given_up(void **state)
{
    AUTO(pgconn) PGconn *conn = open_with(*state, "");
    int64_t began = clock_ms();
    awa_error err;

    test_ok(ask_within(conn, "SELECT pg_sleep(0.01)", 20000, &err), &err);
    assert_int_equal(ask_within(conn, "SELECT 1 / 0", 20000, &err), AWA_EINVAL);
    assert_string_equal(err.sqlstate, "22012");
    assert_int_equal(ask_within(conn, "SELECT pg_sleep(60)", 50, &err), AWA_ECONN);
    assert_string_equal(err.message, "question: no answer for 50 ms");
    assert_int_equal(PQstatus(conn), CONNECTION_BAD);
    assert_int_equal(awa__exec_timed(conn, "rollback", "ROLLBACK", &err), AWA_ECONN);
    assert_true(clock_ms() - began < 20000);
}

static void
a_session_that_breaks_meanwhile_is_econn(void **state)
{
    AUTO(pgconn) PGconn *conn = open_with(*state, "");
    awa_error err;

    assert_int_equal(ask_within(conn, "SELECT pg_terminate_backend(pg_backend_pid())", 20000, &err),
                     AWA_ECONN);
    assert_int_equal(ask_within(conn, "SELECT 1", 20000, &err), AWA_ECONN);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_DB(a_session_has_deadlines_at_both_ends),
        TEST_DB(what_the_connection_string_says_goes_first),
        TEST_DB(what_the_environment_says_goes_first),
        TEST_DB(what_a_service_file_says_goes_first),
        TEST_DB(a_role_keeps_its_deadlines_but_not_its_odd_formats),
        TEST_DB(texts_are_utf8_whatever_anybody_says),
        TEST(nobody_there_is_econn_in_one_line),
        TEST_DB(a_server_that_is_silent_is_given_up),
        TEST_DB(a_session_that_breaks_meanwhile_is_econn),
    };

    return TEST_RUN(tests);
}
