/* SPDX-License-Identifier: MIT */
#include "test.h"

static void
every_statement_can_be_prepared(void **state)
{
    PGconn *db = *state;

    for (int i = 0; i < SQL_COUNT; i++) {
        const struct awa__sql *sql = &awa__sql_all[i];
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

    assert_int_equal(
        awa__sql_exec(db, "x.sql", "SELECT '\xe2\x82\xac';\nSELECT 2;\n\nSELEC 3;", &err), AWA_EDB);
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
        { "42883", AWA_ESCHEMA }, { "3F000", AWA_ESCHEMA },   { "JQ999", AWA_EDB },
    };
    PGconn *db = *state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *sql = test_format("DO $$ BEGIN RAISE 'no luck' USING ERRCODE = '%s', "
                                      "HINT = 'try again'; END $$",
                                      cases[i].sqlstate);
        awa_error err;
        awa_status got = awa__sql_exec(db, "raise", sql, &err);

        if (got != cases[i].want)
            fail_msg("%s: want %d, got %d", cases[i].sqlstate, cases[i].want, got);
        assert_string_equal(err.message, "raise: no luck; try again");
        assert_string_equal(err.sqlstate, cases[i].sqlstate);
    }
}

static void
a_session_that_was_ended_is_gone(void **state)
{
    PGconn *db = *state;
    PGconn *other = test_connect(db, NULL);
    awa_error err;

    test_exec(db, test_format("SELECT pg_terminate_backend(%d)", PQbackendPID(other)));
    assert_int_equal(awa__sql_exec(other, "ping", "SELECT 1", &err), AWA_ECONN);
    assert_int_equal(awa__sql_exec(other, "ping", "SELECT 1", &err), AWA_ECONN);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_DB(every_statement_can_be_prepared),
        TEST_DB(an_error_in_a_text_of_several_lines_names_its_line),
        TEST_DB(a_sqlstate_decides_the_status),
        TEST_DB(a_session_that_was_ended_is_gone),
    };

    return TEST_RUN(tests);
}
