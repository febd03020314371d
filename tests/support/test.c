/* SPDX-License-Identifier: MIT */
/* For every test program. */
#include "test.h"

#include <poll.h>
#include <string.h>

#include "cli/spawn.h"
#include "test_db.h"

enum {
    KEPT_MAX = 4096, /* sessions and texts of one test */
    NAP_MS = 5,
};

/* What ends with the test. */
static PGconn *sessions[KEPT_MAX];
static size_t nsessions;
static char *texts[KEPT_MAX];
static size_t ntexts;

static void fail_at(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4), noreturn));

static void
fail_at(const char *file, int line, const char *format, ...)
{
    char text[2000];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    print_error("%s\n", text);
    _fail(file, line);
    abort(); /* cmocka does not say that _fail() never returns */
}

int
test_run(const char *name, const struct CMUnitTest *tests, size_t n)
{
    int failed;

    cmocka_set_test_filter(getenv("AWA_TEST_FILTER"));
    failed = _cmocka_run_group_tests(name, tests, n, NULL, NULL);

    test_template_forget();
    printf("%d passed, %d failed\n", (int)n - failed, failed);
    return failed != 0;
}

/* ---- What a test keeps ------------------------------------------------------------------- */

static PGconn *
keep_session(PGconn *conn)
{
    if (nsessions == KEPT_MAX)
        fail_msg("more than %d sessions in one test", KEPT_MAX);
    return sessions[nsessions++] = conn;
}

static const char *
keep_text(char *text)
{
    if (ntexts == KEPT_MAX || text == NULL)
        fail_msg("more than %d texts in one test", KEPT_MAX);
    return texts[ntexts++] = text;
}

void
test_forget_texts(void)
{
    while (ntexts > 0)
        free(texts[--ntexts]);
}

static void
forget_all(void)
{
    while (nsessions > 0)
        PQfinish(sessions[--nsessions]);
    test_forget_texts();
}

const char *
test_format(const char *format, ...)
{
    char *text = NULL;
    va_list args;

    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        text = NULL;
    va_end(args);
    return keep_text(text);
}

/* ---- Databases --------------------------------------------------------------------------- */

int
test_db_setup(void **state)
{
    awa_error err;
    PGconn *db;

    if (test_db_create(&db, &err) != AWA_OK) {
        print_error("test database: %s\n", err.message);
        return -1;
    }
    *state = keep_session(db);
    return 0;
}

int
test_db_teardown(void **state)
{
    char name[64];
    awa_error err;

    snprintf(name, sizeof name, "%s", PQdb(*state));
    forget_all();
    if (test_db_drop(name, &err) == AWA_OK)
        return 0;
    print_error("test database: %s\n", err.message);
    return -1;
}

const char *
test_dsn(PGconn *db, const char *role)
{
    return test_format("host=%s port=%s dbname=%s user=%s%s", PQhost(db), PQport(db), PQdb(db),
                       role != NULL ? "test_" : PQuser(db), role != NULL ? role : "");
}

static PGconn *
open_session(const char *dsn, const char *file, int line)
{
    PGconn *conn = NULL;
    awa_error err;

    if (awa_connect(dsn, &conn, &err) != AWA_OK)
        fail_at(file, line, "%s", err.message);
    return keep_session(conn);
}

PGconn *
test_connect_at(PGconn *db, const char *role, const char *file, int line)
{
    return open_session(test_dsn(db, role), file, line);
}

PGconn *
test_connect_elsewhere_at(PGconn *db, const char *file, int line)
{
    return open_session(
        test_format("host=%s port=%s dbname=postgres user=%s", PQhost(db), PQport(db), PQuser(db)),
        file, line);
}

/* ---- Statements -------------------------------------------------------------------------- */

static PGresult *
query(PGconn *db, const char *sql, const char *file, int line)
{
    PGresult *res = PQexec(db, sql);
    ExecStatusType status = PQresultStatus(res);

    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
        const char *text = test_format("%s", PQresultErrorMessage(res));

        PQclear(res);
        fail_at(file, line, "%s\n%s", sql, text);
    }
    return res;
}

void
test_exec_at(PGconn *db, const char *sql, const char *file, int line)
{
    PQclear(query(db, sql, file, line));
}

const char *
test_text_at(PGconn *db, const char *sql, const char *file, int line)
{
    PGresult *res = query(db, sql, file, line);
    int rows = PQntuples(res);
    const char *text =
        rows == 1 && !PQgetisnull(res, 0, 0) ? test_format("%s", PQgetvalue(res, 0, 0)) : NULL;

    PQclear(res);
    if (rows != 1)
        fail_at(file, line, "%s\nwant 1 row, got %d", sql, rows);
    return text;
}

int64_t
test_int_at(PGconn *db, const char *sql, const char *file, int line)
{
    const char *text = test_text_at(db, sql, file, line);
    char *end = NULL;
    int64_t n = text != NULL ? strtoll(text, &end, 10) : 0;

    if (text == NULL || end == text || *end != '\0')
        fail_at(file, line, "%s\nwant a number, got %s", sql, text != NULL ? text : "NULL");
    return n;
}

void
test_expect_error_at(PGconn *db, const char *sqlstate, const char *sql, const char *file, int line)
{
    PGresult *res = PQexec(db, sql);
    const char *got = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    const char *shown =
        test_format("%s: %s", got != NULL ? got : "no error", PQresultErrorMessage(res));
    bool expected = got != NULL && strcmp(got, sqlstate) == 0;

    PQclear(res);
    if (!expected)
        fail_at(file, line, "%s\nwant %s, got %s", sql, sqlstate, shown);
}

const char *
test_error_at(PGconn *db, const char *sql, const char *file, int line)
{
    PGresult *res = PQexec(db, sql);
    const char *sqlstate = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    const char *text =
        sqlstate != NULL
            ? test_format("%s %s", sqlstate, PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY))
            : NULL;

    PQclear(res);
    if (text == NULL)
        fail_at(file, line, "%s\nwant an error, got none", sql);
    return text;
}

/* Columns joined by '|', rows by a space. */
static const char *
rows_of(const PGresult *res)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    for (int r = 0; out != NULL && r < PQntuples(res); r++)
        for (int c = 0; c < PQnfields(res); c++)
            (void)fprintf(out, "%s%s", c > 0 ? "|" : (r > 0 ? " " : ""), PQgetvalue(res, r, c));
    auto_file(&out);
    return keep_text(text);
}

const char *
test_rows_at(PGconn *db, const char *sql, const char *file, int line)
{
    PGresult *res = query(db, sql, file, line);
    const char *text = rows_of(res);

    PQclear(res);
    return text;
}

/* Without test_int_at(): each answer would be kept. */
static bool
is_true(PGconn *db, const char *sql, const char *file, int line)
{
    PGresult *res = query(db, sql, file, line);
    bool yes = PQntuples(res) == 1 && strcmp(PQgetvalue(res, 0, 0), "t") == 0;

    PQclear(res);
    return yes;
}

void
test_wait_until_at(PGconn *db, const char *sql, int timeout_ms, const char *file, int line)
{
    int64_t deadline = now_ms() + timeout_ms;

    while (!is_true(db, sql, file, line)) {
        if (now_ms() > deadline)
            fail_at(file, line, "%s\nnot within %d ms", sql, timeout_ms);
        (void)poll(NULL, 0, NAP_MS);
    }
}

/* ---- Several sessions -------------------------------------------------------------------- */

enum {
    STEP_MS = 20000
}; /* for something that takes a millisecond on a machine with nothing to do */

void
test_send_at(PGconn *conn, const char *sql, const char *file, int line)
{
    if (!PQsendQuery(conn, sql))
        fail_at(file, line, "%s\n%s", sql, PQerrorMessage(conn));
}

void
test_wait_blocked_at(PGconn *db, PGconn *conn, const char *file, int line)
{
    test_wait_until_at(
        db, test_format("SELECT cardinality(pg_blocking_pids(%d)) > 0", PQbackendPID(conn)),
        STEP_MS, file, line);
}

/* The answer to what was sent, without waiting for ever. */
static PGresult *
receive(PGconn *conn, const char *file, int line)
{
    int64_t deadline = now_ms() + STEP_MS;
    struct pollfd fd = { .fd = PQsocket(conn), .events = POLLIN };
    PGresult *res;

    while (PQconsumeInput(conn) && PQisBusy(conn)) {
        if (now_ms() > deadline)
            fail_at(file, line, "no answer within %d ms", STEP_MS);
        (void)poll(&fd, 1, NAP_MS);
    }
    res = PQgetResult(conn);
    for (PGresult *more; (more = PQgetResult(conn)) != NULL; PQclear(more))
        ;
    return res;
}

const char *
test_answer_at(PGconn *conn, const char *file, int line)
{
    PGresult *res = receive(conn, file, line);
    ExecStatusType status = PQresultStatus(res);
    const char *text = status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK
                           ? rows_of(res)
                           : test_format("%s", PQresultErrorMessage(res));

    PQclear(res);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
        fail_at(file, line, "%s", text);
    return text;
}

void
test_answer_error_at(PGconn *conn, const char *sqlstate, const char *file, int line)
{
    PGresult *res = receive(conn, file, line);
    const char *got = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    const char *shown =
        test_format("%s: %s", got != NULL ? got : "no error", PQresultErrorMessage(res));
    bool expected = got != NULL && strcmp(got, sqlstate) == 0;

    PQclear(res);
    if (!expected)
        fail_at(file, line, "want %s, got %s", sqlstate, shown);
}

const char *
test_outcome_at(PGconn *conn, const char *file, int line)
{
    PGresult *res = receive(conn, file, line);
    const char *sqlstate = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    const char *text = sqlstate != NULL ? test_format("%s", sqlstate) : rows_of(res);

    PQclear(res);
    return text;
}

bool
test_is_blocked_at(PGconn *db, PGconn *conn, const char *file, int line)
{
    const char *asks =
        test_format("SELECT cardinality(pg_blocking_pids(%d)) > 0", PQbackendPID(conn));
    int64_t deadline = now_ms() + STEP_MS;
    struct pollfd fd = { .fd = PQsocket(conn), .events = POLLIN };

    while (PQconsumeInput(conn) && PQisBusy(conn)) {
        if (now_ms() > deadline)
            fail_at(file, line, "neither blocked nor answered within %d ms", STEP_MS);
        if (poll(&fd, 1, NAP_MS) == 0 && is_true(db, asks, file, line))
            return true;
    }
    return false;
}

/* No lock_timeout of the engine's functions holds at a gate. */
static const char make_gate[] =
    "SET LOCAL client_min_messages = warning;"
    "CREATE SCHEMA IF NOT EXISTS test;"
    "GRANT USAGE ON SCHEMA test TO PUBLIC;"
    "CREATE OR REPLACE FUNCTION test.gate(p_name text DEFAULT '') RETURNS void LANGUAGE plpgsql"
    " SET lock_timeout = 0 AS $$BEGIN"
    " IF p_name = coalesce(current_setting('test.gate', true), '') THEN"
    " PERFORM pg_advisory_lock_shared(7, 7), pg_advisory_unlock_shared(7, 7); END IF; END$$";

/* Replaces a text that stands once in a function of schema awa. */
static void
edit(PGconn *db, const char *function, const char *from, const char *to, const char *file, int line)
{
    char *quoted = PQescapeLiteral(db, from, strlen(from));
    const char *old = test_format("%s", quoted);

    PQfreemem(quoted);
    quoted = PQescapeLiteral(db, to, strlen(to));
    test_exec_at(db,
                 test_format("DO $do$ DECLARE v_body text := pg_get_functiondef('awa.%s'::regproc);"
                             " BEGIN ASSERT length(v_body) - length(replace(v_body, %s, '')) ="
                             " length(%s), 'not once in the function';"
                             " EXECUTE replace(v_body, %s, %s); END $do$",
                             function, old, old, old, quoted),
                 file, line);
    PQfreemem(quoted);
}

void
test_gate_at(PGconn *db, const char *function, const char *before, const char *name,
             const char *file, int line)
{
    char *quoted = PQescapeLiteral(db, name, strlen(name));
    const char *at = test_format("PERFORM test.gate(%s); %s", *name != '\0' ? quoted : "", before);

    PQfreemem(quoted);
    test_exec_at(db, make_gate, file, line);
    edit(db, function, before, at, file, line);
}

void
test_ungate_at(PGconn *db, const char *function, const char *file, int line)
{
    edit(db, function, "PERFORM test.gate(); ", "", file, line);
}

void
test_wait_at_gate_at(PGconn *db, PGconn *conn, const char *file, int line)
{
    test_wait_until_at(
        db,
        test_format("SELECT EXISTS (SELECT 1 FROM pg_locks AS l WHERE l.locktype = 'advisory'"
                    " AND l.classid = 7 AND l.objid = 7 AND l.objsubid = 2 AND NOT l.granted"
                    " AND l.pid = %d)",
                    PQbackendPID(conn)),
        STEP_MS, file, line);
}

void
test_ok_at(awa_status status, const awa_error *err, const char *call, const char *file, int line)
{
    if (status != AWA_OK)
        fail_at(file, line, "%s: %s", call, err->message);
}
