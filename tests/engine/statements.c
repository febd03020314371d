/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <string.h>

#include "lib/schema.h"
#include "statements_api.h"
#include "statements_bench.h"
#include "statements_cli.h"
#include "statements_lib.h"
#include "statements_pg.h"
#include "statements_worker.h"

static const struct awa__sql *const tables[] = {
    awa__statements_pg,  awa__statements_lib, awa__statements_worker,
    awa__statements_api, awa__statements_cli, awa__statements_bench,
};

static void
every_statement_can_be_prepared(void **state)
{
    PGconn *db = *state;

    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        for (const struct awa__sql *sql = tables[i]; sql->name != NULL; sql++) {
            AUTO(pgresult) PGresult *res = PQprepare(db, sql->name, sql->text, 0, NULL);
            AUTO(pgresult) PGresult *desc = PQdescribePrepared(db, sql->name);

            if (PQresultStatus(res) != PGRES_COMMAND_OK)
                fail_msg("%s: %s", sql->name, PQresultErrorMessage(res));
            assert_int_equal(PQnparams(desc), sql->nparams);
        }
}

static void
an_error_in_a_text_of_several_lines_names_its_line(void **state)
{
    PGconn *db = *state;
    awa_error err;

    assert_int_equal(awa__exec(db, "x.sql", "SELECT '\xe2\x82\xac';\nSELECT 2;\n\nSELEC 3;", &err),
                     AWA_EDB);
    assert_string_equal(err.message, "x.sql:4: syntax error at or near \"SELEC\"");
    assert_string_equal(err.sqlstate, "42601");
}

static void
a_sqlstate_decides_the_status(void **state)
{
    static const struct {
        const char *sqlstate;
        awa_status want;
    } cases[] = {
        { "JQ001", AWA_EINVAL },  { "JQ002", AWA_ENOTFOUND }, { "JQ003", AWA_ESTALE },
        { "JQ004", AWA_EEXISTS }, { "JQ005", AWA_ESCHEMA },   { "23505", AWA_EDB },
        { "08006", AWA_ECONN },   { "57P03", AWA_ECONN },     { "57014", AWA_EDB },
        { "42883", AWA_EDB },     { "55P03", AWA_EBUSY },     { "3F000", AWA_EDB },
        { "JQ999", AWA_EDB },     { "53100", AWA_EBUSY },     { "40P01", AWA_EBUSY },
        { "54000", AWA_EINVAL },  { "58030", AWA_EDB },       { "25006", AWA_EDB },
    };
    PGconn *db = *state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *sql = test_format("DO $$ BEGIN RAISE 'no luck' USING ERRCODE = '%s', "
                                      "HINT = 'try again'; END $$",
                                      cases[i].sqlstate);
        awa_error err;
        awa_status got = awa__exec(db, "raise", sql, &err);

        if (got != cases[i].want)
            fail_msg("%s: want %d, got %d", cases[i].sqlstate, cases[i].want, got);
        assert_string_equal(err.message, "raise: no luck; try again");
        assert_string_equal(err.sqlstate, cases[i].sqlstate);
    }
}

/* Of a session that lives: nobody knows what became of the statement. */
static void
an_error_of_libpq_itself_is_an_unknown_outcome(void **state)
{
    PGconn *conn = test_connect(*state, "producer");
    awa_error err;

    assert_int_equal(PQenterPipelineMode(conn), 1);
    assert_int_equal(awa__exec(conn, "x", "SELECT 1", &err), AWA_ECONN);
    assert_int_equal(PQstatus(conn), CONNECTION_OK);
    assert_string_equal(err.sqlstate, "");
}

/* What is missing in schema awa comes with a migration; what is missing elsewhere does not. */
static void
what_is_missing_in_the_schema_wants_a_migration(void **state)
{
    static const struct {
        const char *sql;
        awa_status want;
    } cases[] = {
        { "SELECT * FROM awa.no_such_view", AWA_ESCHEMA },
        { "SELECT awa.no_such_function(1)", AWA_ESCHEMA },
        { "SELECT awa.insert_job(kind => 'a', colour => 'b')", AWA_ESCHEMA },
        { "SELECT NULL::awa.no_such_type", AWA_ESCHEMA },
        { "SELECT * FROM no_such_table", AWA_EDB },
        { "SELECT public.awa(1)", AWA_EDB },
        { "SELECT * FROM mawa.jobs", AWA_EDB },
        { "SELECT no_such_function(1)", AWA_EDB },
        { "SELECT no_such_column FROM awa.jobs", AWA_EDB },
    };
    PGconn *db = *state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        awa_error err;
        awa_status got = awa__exec(db, "x", cases[i].sql, &err);
        bool hinted = strstr(err.message, "does not exist; run awa migrate") != NULL;

        if (got != cases[i].want || hinted != (got == AWA_ESCHEMA))
            fail_msg("%s: %s: %s", cases[i].sql, awa_status_text(got), err.message);
    }
}

static void
without_the_schema_every_call_wants_a_migration(void **state)
{
    PGconn *db = *state;
    awa_job_options job = { .size = sizeof job, .kind = "a" };
    awa_status got[5];
    awa_error err[5];

    test_exec(db, "SET client_min_messages = error; DROP SCHEMA awa CASCADE");
    got[0] = awa_job_insert(db, &job, NULL, &err[0]);
    got[1] = awa_jobs_insert(db, &job, 1, NULL, &err[1]);
    got[2] = awa_jobs_copy(db, &job, 1, NULL, &err[2]);
    got[3] = awa_queue_pause(db, "default", &err[3]);
    got[4] = awa__schema_check(db, &err[4]);
    for (size_t i = 0; i < sizeof got / sizeof got[0]; i++)
        if (got[i] != AWA_ESCHEMA || strstr(err[i].message, "; run awa migrate") == NULL)
            fail_msg("call %zu: %s", i, err[i].message);
}

static void
a_session_that_was_ended_is_gone(void **state)
{
    PGconn *db = *state;
    PGconn *other = test_connect(db, NULL);
    awa_error err;

    test_exec(db, test_format("SELECT pg_terminate_backend(%d)", PQbackendPID(other)));
    assert_int_equal(awa__exec(other, "ping", "SELECT 1", &err), AWA_ECONN);
    assert_int_equal(awa__exec(other, "ping", "SELECT 1", &err), AWA_ECONN);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_DB(every_statement_can_be_prepared),
        TEST_DB(an_error_in_a_text_of_several_lines_names_its_line),
        TEST_DB(a_sqlstate_decides_the_status),
        TEST_DB(an_error_of_libpq_itself_is_an_unknown_outcome),
        TEST_DB(what_is_missing_in_the_schema_wants_a_migration),
        TEST_DB(without_the_schema_every_call_wants_a_migration),
        TEST_DB(a_session_that_was_ended_is_gone),
    };

    return TEST_RUN(tests);
}
