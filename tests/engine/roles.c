/* SPDX-License-Identifier: MIT */
/*
 * Who may do what. The list of what is allowed stands here once more, on purpose: everything else
 * is tried, for each role and each object in the schema, and must be forbidden.
 */
#include "test_jobs.h"

#include <inttypes.h>
#include <string.h>

#define ROLES "('producer'), ('bulk_producer'), ('worker'), ('operator'), ('viewer')"

/* role: functions */
static const char allowed[] =
    "{\"producer\": [\"insert_job\", \"insert_jobs\", \"from_ms\", \"ms_interval\", \"to_int\","
    "   \"need_json\", \"schema_version\"],"
    " \"bulk_producer\": [\"insert_job\", \"insert_jobs\", \"from_ms\", \"ms_interval\","
    "   \"to_int\", \"need_json\", \"schema_version\", \"reserve_positions\"],"
    " \"worker\": [\"register_worker\", \"heartbeat\", \"deregister_worker\", \"server_number\","
    "   \"ready_queues\", \"mark_hungry\", \"listen\", \"claim_jobs\", \"complete_jobs\", "
    "\"close_jobs\","
    "   \"complete_job\", \"lead\", \"promote_jobs\", \"rescue_jobs\", \"any_to_rescue\","
    "   \"reconcile_worker\", \"expire_jobs\", \"sweep_gaps\", \"decide_jobs\", \"turn_ring\", "
    "\"checkpoint_heads\", \"carry_forward\", \"prune_slot\","
    "   \"summarize_ids\", \"seal_full_lanes\", \"note_maintenance\", \"deadline_grace\", "
    "\"to_ms\", \"from_ms\","
    "   \"schema_version\"],"
    " \"operator\": [\"insert_job\", \"insert_jobs\", \"from_ms\", \"ms_interval\", \"to_int\","
    "   \"need_json\", \"cancel_job\", \"retry_job\", \"pause_queue\", \"resume_queue\","
    "   \"drain_queue\", \"set_queue\", \"remove_queue\", \"set_defaults\", \"cancel_job_by_key\", "
    "\"set_follow_rule\", "
    "\"remove_follow_rule\", \"retry_failed\", "
    "\"discard_failed\","
    "   \"delete_job_compat\", \"move_to_dlq\", \"move_failed_to_dlq\", \"retry_dlq\","
    "   \"retry_dlq_jobs\", \"purge_dlq\", \"rebuild_terminal_counters\", \"reset_storage\","
    "   \"sweep_gaps\", \"get_defaults\", \"list_follow_rules\", \"need_state\", \"job_json\", "
    "\"get_job\", "
    "\"list_jobs\", "
    "\"explain_job\", "
    "\"dump_job\","
    "   \"queue_counts\", \"queue_counts_fast\", \"list_dlq\", \"dlq_depth\","
    "   \"storage_status\", \"health\", \"to_ms\", \"schema_version\"],"
    " \"viewer\": [\"get_defaults\", \"list_follow_rules\", \"need_state\", \"job_json\", "
    "\"get_job\", "
    "\"list_jobs\", "
    "\"explain_job\", \"dump_job\","
    "   \"queue_counts\", \"queue_counts_fast\", \"list_dlq\", \"dlq_depth\","
    "   \"storage_status\", \"health\", \"to_ms\", \"schema_version\"]}";

static void
a_role_may_call_what_is_listed_and_nothing_else(void **state)
{
    PGconn *db = *state;
    const char *wrong = test_rows(
        db, test_format(
                "SELECT r.role || (CASE WHEN has_function_privilege('awa_' || r.role, p.oid,"
                " 'EXECUTE') THEN ' may call ' ELSE ' may not call ' END) || p.oid::regprocedure"
                " || '.' FROM (VALUES " ROLES ") AS r (role), pg_proc AS p"
                " WHERE p.pronamespace = 'awa'::regnamespace"
                " AND has_function_privilege('awa_' || r.role, p.oid, 'EXECUTE') <>"
                " ('%s'::jsonb -> r.role ? p.proname::text)",
                allowed));

    assert_string_equal(wrong, "");
    assert_string_equal(
        test_rows(db, test_format("SELECT g.key, f FROM jsonb_each('%s') AS g,"
                                  " jsonb_array_elements_text(g.value) AS f WHERE NOT EXISTS"
                                  " (SELECT 1 FROM pg_proc AS p WHERE p.pronamespace ="
                                  " 'awa'::regnamespace AND p.proname = f)",
                                  allowed)),
        "");
}

static void
a_role_reads_views_and_writes_no_table(void **state)
{
    PGconn *db = *state;

    /* with lanes and queues, whose sequences are made as they are needed */
    test_insert(db);
    test_worker(db, 7);
    assert_string_equal(
        test_rows(
            db, "SELECT r.role, c.relname, p.privilege FROM (VALUES " ROLES ") AS r (role),"
                " pg_class AS c, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE',"
                " 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS p (privilege)"
                " WHERE c.relnamespace = 'awa'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')"
                " AND (has_table_privilege('awa_' || r.role, c.oid, p.privilege) OR p.privilege IN"
                " ('SELECT', 'INSERT', 'UPDATE') AND has_any_column_privilege('awa_' || r.role,"
                " c.oid, p.privilege)) ORDER BY 1, 2, 3"),
        "bulk_producer|jobs|INSERT bulk_producer|ready_entries|INSERT operator|jobs|DELETE"
        " operator|jobs|INSERT operator|jobs|SELECT operator|queue_list|SELECT"
        " operator|worker_list|SELECT producer|jobs|INSERT viewer|jobs|SELECT"
        " viewer|queue_list|SELECT viewer|worker_list|SELECT");
    assert_int_equal(test_int(db,
                              "SELECT count(*) FROM (VALUES " ROLES ") AS r (role), pg_class AS c,"
                              " unnest(ARRAY['USAGE', 'SELECT', 'UPDATE']) AS p (privilege)"
                              " WHERE c.relnamespace = 'awa'::regnamespace AND c.relkind = 'S'"
                              " AND has_sequence_privilege('awa_' || r.role, c.oid, p.privilege)"),
                     0);
    assert_string_equal(
        test_rows(db, "SELECT r.role FROM (VALUES " ROLES ", ('public')) AS r (role) WHERE"
                      " has_schema_privilege(CASE WHEN r.role = 'public' THEN r.role ELSE 'awa_' ||"
                      " r.role END, 'awa', 'CREATE')"),
        "");
}

static void
public_has_nothing(void **state)
{
    PGconn *db = *state;

    test_insert(db);
    test_worker(db, 7);
    assert_string_equal(
        test_rows(db,
                  "SELECT o.name FROM (SELECT c.oid::regclass::text AS name, coalesce(c.relacl,"
                  " acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::\"char\","
                  " c.relowner)) AS acl FROM pg_class AS c WHERE c.relnamespace ="
                  " 'awa'::regnamespace UNION ALL SELECT p.oid::regprocedure::text,"
                  " coalesce(p.proacl, acldefault('f', p.proowner)) FROM pg_proc AS p WHERE"
                  " p.pronamespace = 'awa'::regnamespace UNION ALL SELECT n.nspname,"
                  " coalesce(n.nspacl, acldefault('n', n.nspowner)) FROM pg_namespace AS n WHERE"
                  " n.nspname = 'awa') AS o, aclexplode(o.acl) AS a WHERE a.grantee = 0"),
        "");
}

static void
nobody_but_awa_owner_owns_anything(void **state)
{
    PGconn *db = *state;

    test_insert(test_connect(db, "producer"));
    test_worker(db, 7);
    assert_string_equal(
        test_rows(db,
                  "SELECT DISTINCT o.owner::regrole FROM (SELECT c.relowner FROM pg_class AS c"
                  " WHERE c.relnamespace = 'awa'::regnamespace UNION SELECT p.proowner FROM"
                  " pg_proc AS p WHERE p.pronamespace = 'awa'::regnamespace UNION SELECT"
                  " t.typowner FROM pg_type AS t WHERE t.typnamespace = 'awa'::regnamespace"
                  " UNION SELECT n.nspowner FROM pg_namespace AS n WHERE n.nspname = 'awa') AS o"
                  " (owner)"),
        "awa_owner");
    assert_string_equal(
        test_rows(db, "SELECT rolname FROM pg_roles WHERE rolname LIKE 'awa\\_%' AND (rolsuper OR"
                      " rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls OR"
                      " rolcanlogin AND rolname <> 'awa_admin') AND rolname <> 'awa_admin'"),
        "");
    /* none of the roles contains another */
    assert_string_equal(test_rows(db,
                                  "SELECT a.role, b.role FROM (VALUES " ROLES
                                  ", ('owner')) AS a (role), (VALUES"
                                  " " ROLES ", ('owner')) AS b (role) WHERE a.role <> b.role AND"
                                  " pg_has_role('awa_' || a.role, 'awa_' || b.role, 'MEMBER')"),
                        "");
}

static void
what_runs_with_the_owners_rights_pins_its_search_path(void **state)
{
    PGconn *db = *state;

    assert_string_equal(
        test_rows(db, "SELECT p.oid::regprocedure FROM pg_proc AS p WHERE p.pronamespace ="
                      " 'awa'::regnamespace AND p.prosecdef AND NOT coalesce(p.proconfig, '{}') @>"
                      " '{\"search_path=pg_catalog, pg_temp\"}'"),
        "");
    /* what a role may call runs so, or reads nothing at all */
    assert_string_equal(
        test_rows(db, "SELECT p.oid::regprocedure FROM pg_proc AS p WHERE p.pronamespace ="
                      " 'awa'::regnamespace AND NOT p.prosecdef AND p.provolatile <> 'i' AND"
                      " p.proname NOT IN ('server_number', 'to_ms', 'job_json') AND EXISTS (SELECT "
                      "1 FROM (VALUES " ROLES
                      ") AS r (role) WHERE has_function_privilege('awa_' || r.role, p.oid,"
                      " 'EXECUTE'))"),
        "");
}

/* ---- Hostile objects --------------------------------------------------------------------- */

/* Each stands in for something that the engine uses, and raises an error. */
static const char evil[] =
    "CREATE SCHEMA evil; GRANT ALL ON SCHEMA evil TO PUBLIC;"
    "DO $do$ DECLARE f text; BEGIN"
    " FOREACH f IN ARRAY ARRAY['clock_timestamp() RETURNS timestamptz',"
    "  'now() RETURNS timestamptz', 'lower(int8range) RETURNS bigint',"
    "  'upper(int8range) RETURNS bigint', 'isempty(int8multirange) RETURNS boolean',"
    "  'nextval(regclass) RETURNS bigint', 'setval(regclass, bigint) RETURNS bigint',"
    "  'pg_notify(text, text) RETURNS void', 'current_setting(text) RETURNS text',"
    "  'pg_current_xact_id() RETURNS xid8', 'floor(float8) RETURNS float8',"
    "  'greatest_of(int, int) RETURNS int', 'random() RETURNS float8',"
    "  'octet_length(text) RETURNS int', 'jsonb_typeof(jsonb) RETURNS text',"
    "  'pg_advisory_xact_lock(int, int) RETURNS void', 'cardinality(anyarray) RETURNS int',"
    "  'pg_try_advisory_xact_lock(int, int) RETURNS boolean',"
    "  'add(int8multirange, int8multirange) RETURNS int8multirange',"
    "  'same(bigint, bigint) RETURNS boolean', 'times(bigint, interval) RETURNS interval',"
    "  'same(text, text) RETURNS boolean', 'same(int, int) RETURNS boolean'] LOOP"
    "  EXECUTE format('CREATE FUNCTION evil.%s LANGUAGE plpgsql AS $f$BEGIN RAISE ''captured by"
    "  %s''; END$f$', f, f); END LOOP; END $do$;"
    "CREATE OPERATOR evil.+ (FUNCTION = evil.add, LEFTARG = int8multirange,"
    "  RIGHTARG = int8multirange);"
    "CREATE OPERATOR evil.* (FUNCTION = evil.times, LEFTARG = bigint, RIGHTARG = interval);"
    "CREATE OPERATOR evil.= (FUNCTION = evil.same, LEFTARG = bigint, RIGHTARG = bigint);"
    "CREATE OPERATOR evil.= (FUNCTION = evil.same, LEFTARG = int, RIGHTARG = int);"
    "CREATE OPERATOR evil.= (FUNCTION = evil.same, LEFTARG = text, RIGHTARG = text);"
    "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA evil TO PUBLIC;"
    "GRANT TEMPORARY ON DATABASE %s TO PUBLIC;";

/* A session that finds them first, and has tables of its own by the names of the engine's. */
static PGconn *
connect_to_evil(PGconn *db, const char *role)
{
    static const char *const tables[] = { "jobs",   "lanes",    "claims",  "closures",
                                          "queues", "settings", "workers", "ready_entries" };
    PGconn *conn = test_connect(db, role);

    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        test_exec(conn, test_format("CREATE TEMP TABLE %s (x int)", tables[i]));
    test_exec(conn, "SET search_path = evil, pg_temp, public, pg_catalog");
    test_expect_error(conn, "P0001", "SELECT clock_timestamp()");
    return conn;
}

static void
hostile_objects_do_not_matter(void **state)
{
    const awa_job_options jobs[] = {
        { .size = sizeof jobs[0], .kind = "a" },
        { .size = sizeof jobs[0], .kind = "b", .delay_ms = 1, .unique_key = "u" },
    };
    static const char *const as_worker[] = {
        "SELECT awa.register_worker(7, 'w', '{default}')",
        "SELECT awa.heartbeat('{7}', '{default}', '{1}', '{\"{[1,1]}\"}')",
        "SELECT awa.claim_jobs(7, 'default', 3)",
        "SELECT awa.complete_jobs(7, '{0}', '{1}', '{\"{[17592186044416,17592186044416]}\"}')",
        ("SELECT awa.close_jobs(7, '{0,0}', '{1,1}', '{17592186044417,17592186044418}',"
         " '{retried,released}', '{x,y}', NULL, '{1 s,0 s}')"),
        "SELECT awa.promote_jobs(p_now => '2100-01-01')",
        "SELECT awa.lead(7)",
        "SELECT awa.rescue_jobs('2100-01-01')",
        "SELECT awa.expire_jobs()",
        "SELECT awa.sweep_gaps()",
        "SELECT awa.turn_ring('2100-01-01')",
        "SELECT awa.checkpoint_heads(0::smallint)",
        "SELECT awa.carry_forward(0::smallint)",
        "SELECT awa.prune_slot(0::smallint)",
        "SELECT awa.summarize_ids()",
        "SELECT awa.deregister_worker(7)",
    };
    static const char *const as_operator[] = {
        "SELECT awa.get_job(1)",
        "SELECT awa.list_jobs()",
        "SELECT awa.list_jobs('failed')",
        "SELECT awa.explain_job(1)",
        "SELECT awa.queue_counts()",
        "SELECT awa.storage_status()",
        "SELECT awa.health()",
        "SELECT count(*) FROM awa.jobs",
        "SELECT awa.cancel_job(2)",
        "SELECT awa.retry_job(2)",
        "SELECT awa.drain_queue('default')",
        "SELECT awa.set_queue('default', 2)",
    };
    PGconn *db = *state;
    PGconn *conn;
    awa_error err;

    test_exec(db, test_format("%.*s%s TO PUBLIC", (int)(strstr(evil, "%s TO PUBLIC") - evil), evil,
                              PQdb(db)));
    conn = connect_to_evil(db, "bulk");
    test_ok(awa_jobs_insert(conn, jobs, 2, NULL, &err), &err);
    test_ok(awa_job_insert(conn, &jobs[0], NULL, &err), &err);
    test_ok(awa_jobs_copy(conn, jobs, 2, NULL, &err), &err);
    conn = connect_to_evil(db, "worker");
    for (size_t i = 0; i < sizeof as_worker / sizeof as_worker[0]; i++)
        test_exec(conn, as_worker[i]);
    conn = connect_to_evil(db, "operator");
    for (size_t i = 0; i < sizeof as_operator / sizeof as_operator[0]; i++)
        test_exec(conn, as_operator[i]);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_DB(a_role_may_call_what_is_listed_and_nothing_else),
        TEST_DB(a_role_reads_views_and_writes_no_table),
        TEST_DB(public_has_nothing),
        TEST_DB(nobody_but_awa_owner_owns_anything),
        TEST_DB(what_runs_with_the_owners_rights_pins_its_search_path),
        TEST_DB(hostile_objects_do_not_matter),
    };

    return TEST_RUN(tests);
}
