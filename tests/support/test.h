/* SPDX-License-Identifier: MIT */
/*
 * For every test program. A test with a database gets one of its own, cloned from a template that
 * was migrated once; *state is a session there as superuser. What a test opens through these
 * functions is closed after it, whether it passed or not. An error ends the test.
 */
#ifndef AWA_TEST_H
#define AWA_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pg/pg.h"

#define TEST(name)    cmocka_unit_test(name)
#define TEST_DB(name) cmocka_unit_test_setup_teardown(name, test_db_setup, test_db_teardown)

/*
 * Runs them all; prints `N passed, N failed`; for main() to return. AWA_TEST_FILTER=*words* picks
 * tests by name.
 */
#define TEST_RUN(tests) test_run(__FILE__, tests, sizeof(tests) / sizeof((tests)[0]))
int test_run(const char *name, const struct CMUnitTest *tests, size_t n);

int test_db_setup(void **state);
int test_db_teardown(void **state);

/* How to reach the database of a session: as superuser, or as the login test_<role>. */
const char *test_dsn(PGconn *db, const char *role);

/*
 * Another session in the same database. role: producer, bulk, worker, operator, viewer, owner;
 * stranger: none of these; NULL: superuser.
 */
#define test_connect(db, role) test_connect_at(db, role, __FILE__, __LINE__)

/* A superuser's session in another database of the same cluster. */
#define test_connect_elsewhere(db) test_connect_elsewhere_at(db, __FILE__, __LINE__)

#define test_exec(db, sql) test_exec_at(db, sql, __FILE__, __LINE__)

/* The first column of the only row. A text lives until the test has ended. */
#define test_int(db, sql)  test_int_at(db, sql, __FILE__, __LINE__)
#define test_text(db, sql) test_text_at(db, sql, __FILE__, __LINE__)

/* The statement must fail with that SQLSTATE. */
#define test_expect_error(db, sqlstate, sql) \
    test_expect_error_at(db, sqlstate, sql, __FILE__, __LINE__)

/* The same; its SQLSTATE and message, as "JQ001 kind: missing". */
#define test_error(db, sql) test_error_at(db, sql, __FILE__, __LINE__)

/* Asks again and again until the answer is true. */
#define test_wait_until(db, sql, timeout_ms) \
    test_wait_until_at(db, sql, timeout_ms, __FILE__, __LINE__)

/* Every row: columns joined by '|', rows by a space. Lives until the test has ended. */
#define test_rows(db, sql) test_rows_at(db, sql, __FILE__, __LINE__)

/*
 * For tests of two sessions in a chosen order: send a statement, let the others act while it
 * waits, take its answer. Of what was sent, the rows (as test_rows() gives them) or the error.
 */
#define test_send(conn, sql)              test_send_at(conn, sql, __FILE__, __LINE__)
#define test_wait_blocked(db, conn)       test_wait_blocked_at(db, conn, __FILE__, __LINE__)
#define test_answer(conn)                 test_answer_at(conn, __FILE__, __LINE__)
#define test_answer_error(conn, sqlstate) test_answer_error_at(conn, sqlstate, __FILE__, __LINE__)

/* The same, whatever it is: the rows, or the SQLSTATE. */
#define test_outcome(conn) test_outcome_at(conn, __FILE__, __LINE__)

/* Waits until what was sent has its answer (false), or waits for a lock of somebody else (true). */
#define test_is_blocked(db, conn) test_is_blocked_at(db, conn, __FILE__, __LINE__)

/*
 * A gate inside an engine function of this database: whoever comes to the text `before` in its
 * body waits there while the gate is shut. Once a test has waited for somebody at the gate, that
 * session is stopped between two statements, with all the locks that it holds there. At a gate
 * with a name only those sessions stop that said SET test.gate = 'its name'.
 */
#define test_gate(db, function, before) test_gate_at(db, function, before, "", __FILE__, __LINE__)
#define test_gate_named(db, function, before, name) \
    test_gate_at(db, function, before, name, __FILE__, __LINE__)
#define test_ungate(db, function)   test_ungate_at(db, function, __FILE__, __LINE__)
#define test_gate_shut(db)          test_exec(db, "SELECT pg_advisory_lock(7, 7)")
#define test_gate_open(db)          test_exec(db, "SELECT pg_advisory_unlock(7, 7)")
#define test_wait_at_gate(db, conn) test_wait_at_gate_at(db, conn, __FILE__, __LINE__)

/* The call must succeed; shows its error if not. err is the awa_error it was given. */
#define test_ok(status, err) test_ok_at(status, err, #status, __FILE__, __LINE__)

/* A text that lives until the test has ended: for SQL with numbers in it. */
const char *test_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* For tests of many rounds: what they got as texts so far is not used any more. */
void test_forget_texts(void);

PGconn *test_connect_at(PGconn *db, const char *role, const char *file, int line);
PGconn *test_connect_elsewhere_at(PGconn *db, const char *file, int line);
void test_exec_at(PGconn *db, const char *sql, const char *file, int line);
int64_t test_int_at(PGconn *db, const char *sql, const char *file, int line);
const char *test_text_at(PGconn *db, const char *sql, const char *file, int line);
void test_expect_error_at(PGconn *db, const char *sqlstate, const char *sql, const char *file,
                          int line);
const char *test_error_at(PGconn *db, const char *sql, const char *file, int line);
void test_wait_until_at(PGconn *db, const char *sql, int timeout_ms, const char *file, int line);
const char *test_rows_at(PGconn *db, const char *sql, const char *file, int line);
void test_send_at(PGconn *conn, const char *sql, const char *file, int line);
void test_wait_blocked_at(PGconn *db, PGconn *conn, const char *file, int line);
const char *test_answer_at(PGconn *conn, const char *file, int line);
void test_answer_error_at(PGconn *conn, const char *sqlstate, const char *file, int line);
const char *test_outcome_at(PGconn *conn, const char *file, int line);
bool test_is_blocked_at(PGconn *db, PGconn *conn, const char *file, int line);
void test_gate_at(PGconn *db, const char *function, const char *before, const char *name,
                  const char *file, int line);
void test_ungate_at(PGconn *db, const char *function, const char *file, int line);
void test_wait_at_gate_at(PGconn *db, PGconn *conn, const char *file, int line);
void test_ok_at(awa_status status, const awa_error *err, const char *call, const char *file,
                int line);

#endif
