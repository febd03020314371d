/* SPDX-License-Identifier: MIT */
/* What is in the database is what is in sql/engine, and each function has one home. */
#include "test.h"

#include <string.h>

/* The names after each `keyword` in all engine files, as a list of SQL literals. */
static const char *
named_after(const char *keyword)
{
    char *list = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&list, &len);
    const char *kept;

    for (const struct awa__sql_file *file = awa__engine_files; file->name != NULL; file++)
        for (const char *at = file->text; (at = strstr(at, keyword)) != NULL;) {
            at += strlen(keyword);
            fprintf(out, "%s('%s', '%.*s')", len > 0 || ftell(out) > 0 ? ", " : "", file->name,
                    (int)strspn(at, "abcdefghijklmnopqrstuvwxyz0123456789_"), at);
        }
    (void)fclose(out);
    kept = test_format("%s", list);
    free(list);
    return kept;
}

static void
the_catalog_has_the_functions_of_the_files_and_no_other(void **state)
{
    PGconn *db = *state;
    const char *files = named_after("\nCREATE OR REPLACE FUNCTION awa.");

    assert_string_equal(
        test_rows(db, test_format("SELECT coalesce(f.name, p.proname), f.n, p.n FROM (SELECT name,"
                                  " count(*) AS n FROM (VALUES %s) AS f (file, name) GROUP BY name)"
                                  " AS f FULL JOIN (SELECT proname, count(*) AS n FROM pg_proc"
                                  " WHERE pronamespace = 'awa'::regnamespace GROUP BY proname) AS p"
                                  " ON p.proname = f.name WHERE f.n IS DISTINCT FROM p.n",
                                  files)),
        "");
    /* one home, and no two of one name: grants and statements name them without arguments */
    assert_string_equal(test_rows(db, test_format("SELECT name FROM (VALUES %s) AS f (file, name)"
                                                  " GROUP BY name HAVING count(*) > 1",
                                                  files)),
                        "");
}

static void
the_catalog_has_the_views_of_the_files_and_no_other(void **state)
{
    PGconn *db = *state;

    assert_string_equal(
        test_rows(db,
                  test_format("SELECT f.name, v.viewname FROM (VALUES %s) AS f (file, name) FULL"
                              " JOIN (SELECT viewname FROM pg_views WHERE schemaname = 'awa') AS"
                              " v ON v.viewname = f.name WHERE f.name IS NULL OR v.viewname IS"
                              " NULL",
                              named_after("\nCREATE OR REPLACE VIEW awa."))),
        "");
}

static void
engine_files_replace_and_schema_files_make_no_functions(void **state)
{
    (void)state;
    for (const struct awa__sql_file *file = awa__engine_files; file->name != NULL; file++)
        if (strstr(file->text, "CREATE FUNCTION") != NULL ||
            strstr(file->text, "CREATE TABLE") != NULL || strstr(file->text, "\nDROP ") != NULL)
            fail_msg("%s: can not be applied twice", file->name);
    for (const struct awa__sql_file *file = awa__schema_files; file->name != NULL; file++)
        if (strstr(file->text, "FUNCTION awa.") != NULL)
            fail_msg("%s: a function's home is sql/engine", file->name);
}

/* A function that is not VOLATILE sees what its caller's statement sees, and nothing newer. */
static void
what_decides_under_a_lock_is_volatile(void **state)
{
    assert_string_equal(
        test_rows(*state,
                  "SELECT p.proname, p.provolatile FROM pg_proc AS p WHERE p.pronamespace ="
                  " 'awa'::regnamespace AND p.provolatile <> 'v' AND p.proname IN ('lane_head',"
                  " 'search_lane', 'find_runs', 'find_withdrawn', 'write_claim', 'claim_lane',"
                  " 'pass_withdrawn', 'lane_may_have_work', 'head_may_have_work', 'add_closure',"
                  " 'closed_positions', 'held_positions', 'open_in_slots', 'open_positions',"
                  " 'alive_entries', 'unsettled', 'heads_in_slot', 'kept_entries', 'get_job',"
                  " 'job_is_live', 'enter_worker', 'try_worker', 'try_lock',"
                  " 'try_lane', 'take_lane', 'living_drawers', 'still_open', 'ask_owners',"
                  " 'gaps_have_news', 'fresh_gaps', 'search_gaps', 'news_aside', 'lane_has_work',"
                  " 'dead_workers', 'session_holds', 'served_now', 'snapshot_holders',"
                  " 'slot_readers')"),
        "");
}

static void
nothing_in_the_engine_goes_parallel_or_compiles(void **state)
{
    assert_string_equal(
        test_rows(*state, "SELECT p.oid::regprocedure FROM pg_proc AS p WHERE p.pronamespace ="
                          " 'awa'::regnamespace AND p.prosecdef AND p.provolatile <> 'i' AND NOT"
                          " coalesce(p.proconfig, '{}') @>"
                          " '{jit=off,max_parallel_workers_per_gather=0}'"),
        "");
}

/* In somebody's publication FOR ALL TABLES, a row without one is neither updated nor deleted. */
static void
every_table_that_is_changed_has_a_replica_identity(void **state)
{
    PGconn *db = *state;

    /*
     * The ringed tables and the heartbeats are partitioned; they are filled and truncated. One that
     * has no column is there to be locked.
     */
    assert_string_equal(
        test_rows(db,
                  "SELECT c.relname FROM pg_class AS c WHERE c.relnamespace = 'awa'::regnamespace"
                  " AND c.relkind = 'r' AND c.relnatts > 0 AND NOT c.relispartition AND NOT"
                  " (c.relreplident IN"
                  " ('f', 'i') OR EXISTS (SELECT 1 FROM pg_index AS i WHERE i.indrelid = c.oid"
                  " AND i.indisprimary))"),
        "");
    assert_string_equal(
        test_rows(db, "SELECT DISTINCT p.proname, m[2] FROM pg_proc AS p, regexp_matches(p.prosrc,"
                      " '(UPDATE|DELETE\\s+FROM)\\s+awa\\.(\\w+)', 'g') AS m JOIN pg_class AS c"
                      " ON c.oid = ('awa.' || m[2])::regclass AND c.relkind = 'p'"
                      " WHERE p.pronamespace = 'awa'::regnamespace"),
        "");
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_DB(the_catalog_has_the_functions_of_the_files_and_no_other),
        TEST_DB(the_catalog_has_the_views_of_the_files_and_no_other),
        TEST(engine_files_replace_and_schema_files_make_no_functions),
        TEST_DB(what_decides_under_a_lock_is_volatile),
        TEST_DB(every_table_that_is_changed_has_a_replica_identity),
        TEST_DB(nothing_in_the_engine_goes_parallel_or_compiles),
    };

    return TEST_RUN(tests);
}
