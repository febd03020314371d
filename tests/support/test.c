/* SPDX-License-Identifier: MIT */
/* For every test program. */
#include "test.h"

#include <poll.h>
#include <string.h>

#include "cli/spawn.h"
#include "test_db.h"

enum {
    KEPT_MAX = 256, /* sessions and texts of one test */
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
    int failed = _cmocka_run_group_tests(name, tests, n, NULL, NULL);

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

static void
forget_all(void)
{
    while (nsessions > 0)
        PQfinish(sessions[--nsessions]);
    while (ntexts > 0)
        free(texts[--ntexts]);
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

PGconn *
test_connect_at(PGconn *db, const char *role, const char *file, int line)
{
    PGconn *conn = NULL;
    awa_error err;

    if (awa_connect(test_dsn(db, role), &conn, &err) != AWA_OK)
        fail_at(file, line, "%s", err.message);
    return keep_session(conn);
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

void
test_ok_at(awa_status status, const awa_error *err, const char *call, const char *file, int line)
{
    if (status != AWA_OK)
        fail_at(file, line, "%s: %s", call, err->message);
}
