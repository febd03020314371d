/* SPDX-License-Identifier: MIT */
/* The doors into the queue: awa.insert_job(), awa.insert_jobs() and COPY. */
#include "test_jobs.h"

#include <inttypes.h>
#include <string.h>

/* ---- One job ----------------------------------------------------------------------------- */

static void
a_job_has_the_defaults_of_the_engine(void **state)
{
    PGconn *db = *state;
    int64_t id = test_insert(test_connect(db, "producer"));

    assert_string_equal(
        test_rows(db,
                  test_format("SELECT kind, args, queue, priority, max_attempts, attempt, state,"
                              " tags, metadata, unique_key, errors, output,"
                              " created_at = run_at, created_at > clock_timestamp() - interval"
                              " '1 min' FROM awa.jobs WHERE id = %" PRId64,
                              id)),
        "k|{}|default|2|25|0|available||||||t|t");
}

static const char every_option[] =
    "p_args => '[1, \"x\"]', p_queue => 'mail', p_priority => 4, p_max_attempts => 7,"
    " p_tags => ARRAY['a', 'b\"c'], p_metadata => '{\"m\": null}', p_unique_key => 'u',"
    " p_ordering_key => 'o'";

static void
every_option_of_a_job_is_kept(void **state)
{
    PGconn *db = *state;
    PGconn *producer = test_connect(db, "producer");

    test_exec(producer, test_format("SELECT awa.insert_job('k', %s)", every_option));
    test_exec(producer, test_format("SELECT awa.insert_job('k', %s, p_delay => '1 h')",
                                    "p_args => '\"later\"', p_priority => 1, p_tags => '{t}',"
                                    " p_metadata => '{\"n\": 1}', p_unique_key => 'v'"));
    assert_string_equal(test_rows(db, "SELECT kind, args, queue, priority, max_attempts, state,"
                                      " array_to_string(tags, ' '), metadata, unique_key"
                                      " FROM awa.jobs ORDER BY id"),
                        "k|[1, \"x\"]|mail|4|7|available|a b\"c|{\"m\": null}|u"
                        " k|\"later\"|default|1|25|scheduled|t|{\"n\": 1}|v");
}

static void
a_job_of_the_future_waits_for_its_time(void **state)
{
    static const struct {
        const char *when, *want;
    } cases[] = {
        { "p_run_at => clock_timestamp() + interval '1 h'", "scheduled" },
        { "p_delay => '1 h'", "scheduled" },
        { "p_run_at => clock_timestamp()", "available" },
        { "p_run_at => '-infinity'", "available" },
        { "p_delay => '0 s'", "available" },
        { "p_delay => '-1 h'", "available" },
    };
    PGconn *db = *state;
    PGconn *producer = test_connect(db, "producer");

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t id =
            test_int(producer, test_format("SELECT awa.insert_job('k', %s)", cases[i].when));

        if (strcmp(test_state(db, id), cases[i].want) != 0)
            fail_msg("%s: want %s, got %s", cases[i].when, cases[i].want, test_state(db, id));
    }
    assert_int_equal(test_int(db, "SELECT count(*) FROM awa.jobs WHERE state = 'scheduled' AND"
                                  " run_at BETWEEN clock_timestamp() + interval '59 min' AND"
                                  " clock_timestamp() + interval '1 h'"),
                     2);
}

/* A value that is refused, and what is said about it; in the notation of both doors. */
static const struct {
    const char *one, *many, *want;
} wrong[] = {
    { "NULL", "ARRAY[NULL]::text[]", "kind: missing" },
    { "''", "ARRAY['']", "kind: want 1 to 200 bytes, got 0" },
    { "repeat('x', 201)", "ARRAY[repeat('x', 201)]", "kind: want 1 to 200 bytes, got 201" },
    { "repeat('é', 101)", "ARRAY[repeat('é', 101)]", "kind: want 1 to 200 bytes, got 202" },
    { "'k', p_queue => ''", "'{k}', p_queues => ARRAY['']", "queue: want 1 to 200 bytes, got 0" },
    { "'k', p_queue => repeat('x', 201)", "'{k}', p_queues => ARRAY[repeat('x', 201)]",
      "queue: want 1 to 200 bytes, got 201" },
    { "'k', p_priority => 0", "'{k}', p_priorities => '{0}'", "priority: want 1 to 4, got 0" },
    { "'k', p_priority => 5", "'{k}', p_priorities => '{5}'", "priority: want 1 to 4, got 5" },
    { "'k', p_max_attempts => 0", "'{k}', p_max_attempts => '{0}'",
      "max_attempts: want 1 to 1000, got 0" },
    { "'k', p_max_attempts => 1001", "'{k}', p_max_attempts => '{1001}'",
      "max_attempts: want 1 to 1000, got 1001" },
    { "'k', to_jsonb(repeat('x', 1048575))", "'{k}', ARRAY['\"' || repeat('x', 1048575) || '\"']",
      "args: want at most 1048576 bytes, got 1048577" },
    { "'k', p_tags => array_fill('t'::text, '{21}')",
      "'{k}', p_tags => ARRAY[array_to_json(array_fill('t'::text, '{21}'))::text]",
      "tags: want at most 20, got 21" },
    { "'k', p_tags => ARRAY[NULL, 't']", "'{k}', p_tags => ARRAY['[null, \"t\"]']",
      "tags: want a list of strings" },
    { "'k', p_tags => ARRAY[repeat('x', 8192)]",
      "'{k}', p_tags => ARRAY[json_build_array(repeat('x', 8192))::text]",
      "tags: want at most 8192 bytes, got 8196" },
    { "'k', p_metadata => '[]'", "'{k}', p_metadata => '{\"[]\"}'",
      "metadata: want an object, got array" },
    { "'k', p_metadata => jsonb_build_object('m', repeat('x', 65536))",
      "'{k}', p_metadata => ARRAY[json_build_object('m', repeat('x', 65536))::text]",
      "metadata: want at most 65536 bytes, got 65545" },
    { "'k', p_unique_key => ''", "'{k}', p_unique_keys => ARRAY['']",
      "unique_key: want 1 to 200 bytes, got 0" },
    { "'k', p_unique_key => repeat('x', 201)", "'{k}', p_unique_keys => ARRAY[repeat('x', 201)]",
      "unique_key: want 1 to 200 bytes, got 201" },
    { "'k', p_run_at => now(), p_delay => '1 s'",
      "'{k}', p_run_ats => ARRAY[now()], p_delays => '{1 s}'", "run_at: excludes delay" },
};

static void
a_wrong_option_is_refused_by_name(void **state)
{
    PGconn *producer = test_connect(*state, "producer");

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        const char *one =
            test_error(producer, test_format("SELECT awa.insert_job(%s)", wrong[i].one));
        const char *many =
            test_error(producer, test_format("SELECT awa.insert_jobs(%s)", wrong[i].many));
        const char *lenient = test_rows(
            producer, test_format("SELECT id, error FROM awa.insert_jobs(%s, p_strict => false)",
                                  wrong[i].many));

        assert_string_equal(one, test_format("JQ001 %s", wrong[i].want));
        assert_string_equal(many, test_format("JQ001 job 0: %s", wrong[i].want));
        assert_string_equal(lenient, test_format("|%s", wrong[i].want));
    }
    assert_int_equal(test_int(*state, "SELECT count(*) FROM awa.jobs"), 0);
}

static void
a_value_at_its_limit_is_taken(void **state)
{
    static const char *const cases[] = {
        "repeat('x', 200)",
        "'k', p_queue => repeat('q', 200)",
        "'k', to_jsonb(repeat('x', 1048574))",
        "'k', p_priority => 1, p_max_attempts => 1",
        "'k', p_priority => 4, p_max_attempts => 1000",
        "'k', p_tags => array_fill('t'::text, '{20}')",
        "'k', p_tags => '{}'",
        "'k', p_metadata => '{}'",
        "'k', p_unique_key => repeat('x', 200)",
        "'k', 'null'",
    };
    PGconn *producer = test_connect(*state, "producer");

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        test_exec(producer, test_format("SELECT awa.insert_job(%s)", cases[i]));
    assert_int_equal(test_count(*state, "available"), sizeof cases / sizeof cases[0]);
}

static void
what_rolls_back_was_never_there(void **state)
{
    PGconn *producer = test_connect(*state, "producer");
    PGconn *worker = test_worker(*state, 7);

    test_exec(producer, "BEGIN");
    test_insert(producer);
    test_exec(producer, "SELECT awa.insert_job('k', p_delay => '1 h', p_unique_key => 'u')");
    assert_string_equal(test_claim_ids(worker, 7, 10), "");
    test_exec(producer, "ROLLBACK");
    assert_int_equal(test_int(*state, "SELECT count(*) FROM awa.jobs"), 0);
    test_exec(producer, "SELECT awa.insert_job('k', p_unique_key => 'u')");
    assert_int_equal(test_count(*state, "available"), 1);
}

/* ---- Many jobs --------------------------------------------------------------------------- */

static void
every_option_of_each_job_of_a_batch_is_kept(void **state)
{
    PGconn *db = *state;

    test_exec(
        test_connect(db, "producer"),
        "SELECT awa.insert_jobs('{a,b,c}', ARRAY['[1, \"x\"]', NULL, 'true'],"
        " '{mail,NULL,mail}', '{4,NULL,1}', '{7,NULL,1}',"
        " ARRAY[NULL, NULL, clock_timestamp() + interval '1 h'], ARRAY[NULL, '1 h'::interval,"
        " NULL], ARRAY['[\"a\", \"b\\\"c\"]', NULL, '[]'], ARRAY['{\"m\": null}', NULL, '{}'],"
        " '{u,NULL,v}', '{o,NULL,NULL}')");
    assert_string_equal(test_rows(db, "SELECT kind, args, queue, priority, max_attempts, state,"
                                      " array_to_string(tags, ' '), metadata, unique_key"
                                      " FROM awa.jobs ORDER BY id"),
                        "a|[1, \"x\"]|mail|4|7|available|a b\"c|{\"m\": null}|u"
                        " b|{}|default|2|25|scheduled|||"
                        " c|true|mail|1|1|scheduled||{}|v");
}

static void
ids_rise_in_the_order_of_the_batch(void **state)
{
    PGconn *producer = test_connect(*state, "producer");

    assert_string_equal(
        test_rows(producer,
                  "SELECT count(*), count(DISTINCT id), max(id) - min(id),"
                  " bool_and(id - first = ord - 1) FROM (SELECT j.*, min(j.id) OVER () AS first"
                  " FROM awa.insert_jobs(array_fill('k'::text, '{500}')) AS j) AS j"),
        "500|500|499|t");
    assert_int_equal(test_int(producer, "SELECT count(*) FROM awa.insert_jobs('{}')"), 0);
}

static void
a_batch_is_claimed_in_its_order(void **state)
{
    PGconn *producer = test_connect(*state, "producer");
    PGconn *worker = test_worker(*state, 7);

    test_exec(producer, "SELECT awa.insert_jobs(array_fill('k'::text, '{100}'))");
    assert_string_equal(
        test_text(worker, "SELECT string_agg(c.id::text, ' ') FROM"
                          " awa.claim_jobs(7, 'default', 100) AS c"),
        test_text(*state, "SELECT string_agg(id::text, ' ' ORDER BY id) FROM awa.jobs"));
}

static void
one_bad_job_never_stops_its_neighbours(void **state)
{
    PGconn *db = *state;

    assert_string_equal(
        test_rows(test_connect(db, "producer"),
                  "SELECT ord, id IS NOT NULL, error FROM awa.insert_jobs("
                  "ARRAY['a', '', 'c', 'd', 'e'], ARRAY['1', '2', '{', '4', '5'],"
                  " p_priorities => '{1,2,3,9,4}', p_unique_keys => '{u,v,w,x,u}',"
                  " p_strict => false)"),
        "1|t| 2|f|kind: want 1 to 200 bytes, got 0"
        " 3|f|args: invalid input syntax for type json 4|f|priority: want 1 to 4, got 9 5|f|");
    assert_string_equal(test_rows(db, "SELECT kind FROM awa.jobs"), "a");
    assert_string_equal(test_rows(db, "SELECT unique_key FROM awa.unique_keys"), "u");
}

static void
a_strict_batch_with_a_bad_job_is_refused_as_a_whole(void **state)
{
    PGconn *producer = test_connect(*state, "producer");

    assert_string_equal(
        test_error(producer, "SELECT awa.insert_jobs(ARRAY['a', 'b', ''], ARRAY['1', '{', '3'])"),
        "JQ001 job 1: args: invalid input syntax for type json");
    assert_int_equal(test_int(*state, "SELECT count(*) FROM awa.jobs"), 0);
}

static void
arrays_that_do_not_fit_are_refused(void **state)
{
    static const struct {
        const char *call, *want;
    } cases[] = {
        { "'{a,b}', '{1}'", "args: want 2 elements in one dimension, got 1" },
        { "'{a}', p_queues => '{}'", "queues: want 1 elements in one dimension, got 0" },
        { "'{a,b}', p_tags => '{{NULL,NULL}}'", "tags: want 2 elements in one dimension, got 2" },
        { "array_fill('k'::text, '{100001}')",
          "jobs: want at most 100000 in one call, got 100001" },
    };
    PGconn *producer = test_connect(*state, "producer");

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(
            test_error(producer, test_format("SELECT awa.insert_jobs(%s)", cases[i].call)),
            test_format("JQ001 %s", cases[i].want));
}

/* ---- Unique keys ------------------------------------------------------------------------- */

static void
a_key_belongs_to_a_job_as_long_as_it_lives(void **state)
{
    /* What happens to the holder of the key, and whether it keeps it. */
    static const struct {
        const char *fate;
        bool keeps;
    } cases[] = {
        { "available", true }, { "running", true },    { "retried", true },
        { "snoozed", true },   { "released", true },   { "completed", false },
        { "failed", false },   { "cancelled", false }, { "withdrawn", false },
    };
    PGconn *db = *state;
    PGconn *producer = test_connect(db, "producer");
    PGconn *worker = test_worker(db, 7);
    PGconn *operator= test_connect(db, "operator");

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *insert = test_format("SELECT awa.insert_job('k', p_unique_key => 'u%zu')", i);
        int64_t id = test_int(producer, insert);
        const char *second;

        if (strcmp(cases[i].fate, "withdrawn") == 0) {
            test_exec(operator, test_format("SELECT awa.cancel_job(%" PRId64 ")", id));
        } else if (strcmp(cases[i].fate, "available") != 0) {
            struct attempt a = test_claim_one(worker, 7);

            if (strcmp(cases[i].fate, "running") != 0)
                test_close(worker, &a, cases[i].fate);
        }
        second = test_text(producer, insert);
        if ((second == NULL) != cases[i].keeps)
            fail_msg("%s: want %s, got %s", cases[i].fate, cases[i].keeps ? "no job" : "a job",
                     second);
        test_exec(operator, "SELECT awa.drain_queue('default')"); /* for the next case */
    }
}

static void
the_same_key_twice_in_a_batch_belongs_to_the_first(void **state)
{
    PGconn *db = *state;
    PGconn *producer = test_connect(db, "producer");

    assert_string_equal(
        test_rows(producer, "SELECT ord, id IS NOT NULL, error FROM awa.insert_jobs('{a,b,c,d}',"
                            " p_unique_keys => '{y,x,y,NULL}')"),
        "1|t| 2|t| 3|f| 4|t|");
    assert_string_equal(test_rows(db, "SELECT kind FROM awa.jobs ORDER BY id"), "a b d");
    assert_string_equal(test_rows(producer,
                                  "SELECT ord, id IS NOT NULL FROM awa.insert_jobs('{a,b}',"
                                  " p_unique_keys => '{z,y}', p_delays => '{NULL,1 h}')"),
                        "1|t 2|f");
}

static void
a_pruned_job_holds_no_key(void **state)
{
    PGconn *db = *state;
    PGconn *producer = test_connect(db, "producer");
    PGconn *worker = test_worker(db, 7);
    struct attempt a;

    test_exec(producer, "SELECT awa.insert_job('k', p_unique_key => 'u')");
    a = test_claim_one(worker, 7);
    test_exec(worker, test_complete_sql(&a));
    test_exec(db, "SELECT awa.rotate_ring(true), awa.checkpoint_heads(0::smallint)");
    assert_string_equal(test_text(worker, "SELECT awa.prune_slot(0::smallint)"), "pruned");
    assert_non_null(test_text(producer, "SELECT awa.insert_job('k', p_unique_key => 'u')"));
}

/* ---- Lanes ------------------------------------------------------------------------------- */

/* A job that came back keeps its key when the slot goes in which it had ended before. */
static void
a_job_that_runs_again_keeps_its_key(void **state)
{
    static const struct {
        const char *end, *again;
        bool dlq, waits;
    } cases[] = {
        { "failed", "SELECT awa.retry_job(%" PRId64 ")", false, false },
        { "cancelled", "SELECT awa.retry_job(%" PRId64 ")", false, false },
        { NULL, "SELECT awa.cancel_job(%" PRId64 ")", false, true },
        { "failed", "SELECT awa.retry_dlq(%" PRId64 ")", true, false },
        { "retried", "SELECT %" PRId64, false, false },
    };
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *operator= test_connect(db, "operator");

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t slot, id;

        test_exec(operator, test_format("SELECT awa.set_queue('default', p_dlq_enabled => %s)",
                                        cases[i].dlq ? "true" : "false"));
        slot = test_int(db, "SELECT awa.current_slot()");
        id = test_int(db, test_format("SELECT awa.insert_job('k', p_unique_key => 'key %zu')", i));
        if (cases[i].end != NULL)
            test_end(worker, "default", 1, cases[i].end);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        test_exec(operator, test_format(cases[i].again, id));
#pragma GCC diagnostic pop
        if (cases[i].waits)
            test_exec(operator, test_format("SELECT awa.retry_job(%" PRId64 ")", id));
        if (strstr("available retryable", test_state(db, id)) == NULL)
            fail_msg("case %zu: it is %s", i, test_state(db, id));
        test_exec(db, "SELECT awa.rotate_ring(true)");
        test_exec(worker, test_format("SELECT awa.checkpoint_heads(%d::smallint)", (int)slot));
        test_exec(worker, test_format("SELECT awa.carry_forward(%d::smallint)", (int)slot));
        assert_string_equal(
            test_text(worker, test_format("SELECT awa.prune_slot(%d::smallint)", (int)slot)),
            "pruned");
        if (test_text(db, test_format("SELECT awa.insert_job('k', p_unique_key => 'key %zu')",
                                      i)) != NULL)
            fail_msg("case %zu: the key of job %" PRId64 " was forgotten", i, id);
        test_exec(operator, "SELECT awa.drain_queue('default')");
    }
}

static void
each_queue_and_priority_has_a_lane(void **state)
{
    PGconn *db = *state;
    PGconn *producer = test_connect(db, "producer");

    for (int i = 0; i < 2; i++)
        test_exec(producer, "SELECT awa.insert_jobs('{a,a,a,a,a}', p_queues => '{q,q,q,q,r}',"
                            " p_priorities => '{1,2,3,4,1}')");
    assert_string_equal(test_rows(db, "SELECT l.queue, l.priority, count(*) FROM awa.lanes AS l"
                                      " JOIN awa.ready_entries AS e ON e.pos >> 44 = l.lane_id"
                                      " GROUP BY 1, 2 ORDER BY 1, 2"),
                        "q|1|2 q|2|2 q|3|2 q|4|2 r|1|2");
}

static void
jobs_of_one_ordering_key_stay_in_one_lane(void **state)
{
    PGconn *db = *state;
    PGconn *producer = test_connect(db, "producer");

    test_exec(test_connect(db, "operator"), "SELECT awa.set_queue('default', 8)");
    for (int i = 0; i < 20; i++)
        test_exec(producer, test_format("SELECT awa.insert_job('a%d', p_ordering_key => 'a%d')"
                                        " FROM generate_series(1, 3)",
                                        i % 10, i % 10));
    test_exec(producer, "SELECT awa.insert_jobs(array_fill('b'::text, '{50}'))");
    test_exec(producer, "SELECT awa.insert_job('c') FROM generate_series(1, 100)");
    assert_int_equal(test_int(db, "SELECT max(n) FROM (SELECT count(DISTINCT pos >> 44) AS n"
                                  " FROM awa.jobs WHERE kind <> 'c' GROUP BY kind) AS k"),
                     1);
    assert_int_equal(test_int(db, "SELECT count(DISTINCT pos >> 44) FROM awa.jobs"), 8);
    assert_true(test_int(db, "SELECT count(DISTINCT pos >> 44) FROM awa.jobs WHERE kind = 'c'") >
                4);
}

static void
a_full_lane_gets_a_successor(void **state)
{
    PGconn *db = *state;
    PGconn *producer = test_connect(db, "producer");
    PGconn *worker = test_worker(db, 7);
    int64_t ids[3];

    ids[0] = test_insert(producer);
    test_exec(db, "SELECT setval(awa.numbers(l.lane_id), (l.lane_id::bigint << 44) - l.shift +"
                  " (1::bigint << 44) / 10 * 9) FROM awa.lanes AS l");
    assert_int_equal(test_int(worker, "SELECT awa.seal_full_lanes()"), 0);
    ids[1] = test_insert(producer);
    assert_int_equal(test_int(worker, "SELECT awa.seal_full_lanes()"), 1);
    assert_int_equal(test_int(worker, "SELECT awa.seal_full_lanes()"), 0);
    ids[2] = test_insert(producer);
    assert_string_equal(test_rows(db, "SELECT sealed FROM awa.lanes ORDER BY lane_id"), "t f");
    assert_string_equal(
        test_rows(db, "SELECT DISTINCT pos >> 44 FROM awa.ready_entries ORDER BY 1"),
        test_rows(db, "SELECT lane_id FROM awa.lanes ORDER BY lane_id"));
    assert_string_equal(test_claim_ids(worker, 7, 10),
                        test_format("%" PRId64 " %" PRId64, ids[0], ids[1]));
    assert_string_equal(test_claim_ids(worker, 7, 10), test_format("%" PRId64, ids[2]));
}

/* ---- Any number of queues ---------------------------------------------------------------- */

/* A queue for each tenant, all at once; while that goes on, others insert, claim and look. */
static void
thousands_of_queues_are_opened_in_one_transaction(void **state)
{
    PGconn *db = *state;
    PGconn *producer = test_connect(db, "producer"), *other = test_connect(db, "producer");
    PGconn *viewer = test_connect(db, "viewer"), *operator= test_connect(db, "operator");
    PGconn *worker = test_worker(db, 7);

    test_exec(producer, "BEGIN");
    test_exec(producer, "DO $$ BEGIN FOR i IN 1 .. 12000 LOOP"
                        " PERFORM awa.insert_job('k', p_queue => 'q' || i); END LOOP; END $$");
    /* the table of locks may have room for 7,000, for all sessions together */
    assert_in_range(test_int(db, test_format("SELECT count(*) FROM pg_locks WHERE pid = %d",
                                             PQbackendPID(producer))),
                    1, 2000);
    test_insert(other);
    assert_int_equal(test_int(viewer, "SELECT sum(available) FROM awa.queue_counts()"), 1);
    assert_int_equal(test_int(worker, "SELECT count(*) FROM awa.claim_jobs(7, 'default', 10)"), 1);
    test_exec(producer, "COMMIT");
    assert_int_equal(test_int(viewer, "SELECT sum(available) FROM awa.queue_counts()"), 12000);
    assert_int_equal(test_int(worker, "SELECT count(*) FROM awa.claim_jobs(7, 'q12000', 10)"), 1);
    test_exec(operator, "SELECT awa.reset_storage(current_database())");
    assert_int_equal(test_int(viewer, "SELECT coalesce(sum(available), 0) FROM awa.queue_counts()"),
                     0);
}

/* Each first use that is rolled back draws a number; when all were drawn, they begin anew. */
static void
the_number_of_a_lane_that_was_rolled_back_is_used_again(void **state)
{
    PGconn *db = *state;
    PGconn *producer = test_connect(db, "producer");
    PGconn *worker = test_worker(db, 7);

    test_exec(producer, "SELECT awa.insert_job('k', p_queue => 'a')");
    test_exec(producer, "BEGIN; SELECT awa.insert_job('k', p_queue => 'b'); ROLLBACK");
    test_exec(producer, "SELECT awa.insert_job('k', p_queue => 'c')");
    test_exec(db, "SELECT setval('awa.lane_ids', 524286, false)");
    for (int i = 0; i < 2; i++)
        test_exec(producer, test_format("SELECT awa.insert_job('k', p_queue => 'd%d')", i));
    test_exec(producer, "BEGIN; SELECT awa.insert_job('k', p_queue => 'e'); ROLLBACK");
    test_exec(producer, "SELECT awa.insert_job('k', p_queue => 'e')");
    assert_string_equal(test_rows(db, "SELECT lane_id, queue FROM awa.lanes ORDER BY 1"),
                        "1|a 2|d1 3|c 5|e 524286|d0");
    assert_string_equal(test_rows(db, "SELECT l.queue FROM awa.ready_entries AS e JOIN awa.lanes AS"
                                      " l ON l.lane_id = e.pos >> 44 ORDER BY 1"),
                        "a c d0 d1 e");
    assert_string_equal(test_rows(worker, "SELECT q FROM unnest('{a,c,d0,d1,e}'::text[]) AS q CROSS"
                                          " JOIN LATERAL awa.claim_jobs(7, q, 10)"),
                        "a c d0 d1 e");
}

/* However many are in use one after the other. */
static void
a_free_number_is_found_behind_thousands_in_use(void **state)
{
    PGconn *db = *state;
    PGconn *producer = test_connect(db, "producer");

    test_exec(db, "INSERT INTO awa.lanes (lane_id, queue, priority, enqueue_shard, shift)"
                  " SELECT i, 'q' || i, 2, 0, i::bigint << 44 FROM generate_series(1, 3000) AS i");
    test_exec(db, "SELECT setval('awa.lane_ids', 524286)");
    test_exec(producer, "SELECT awa.insert_job('k', p_queue => 'next')");
    assert_int_equal(test_int(db, "SELECT lane_id FROM awa.lanes WHERE queue = 'next'"), 3001);
}

/* ---- From C ------------------------------------------------------------------------------ */

static void
the_doors_of_c_make_the_same_jobs(void **state)
{
    static const char rows[] =
        "SELECT kind, args, queue, priority, max_attempts, attempt, state, tags, metadata,"
        " unique_key, enqueue_shard, created_at = run_at OR state = 'scheduled',"
        " abs(extract(epoch FROM created_at - clock_timestamp())) < 60 FROM awa.jobs ORDER BY id";
    static const char *const tags[] = { "a", "b\"\\c\n\x01" };
    const awa_job_options jobs[] = {
        { .size = sizeof jobs[0], .kind = "a" },
        { .size = sizeof jobs[0], .kind = "b", .args_json = "[1,2]", .queue = "mail" },
        { .size = sizeof jobs[0], .kind = "c\"\\{}", .priority = 1, .max_attempts = 1000 },
        { .size = sizeof jobs[0], .kind = "d", .tags = tags, .ntags = 2 },
        { .size = sizeof jobs[0], .kind = "e", .metadata_json = "{\"m\":1}" },
        { .size = sizeof jobs[0], .kind = "f", .delay_ms = 3600000 },
        { .size = sizeof jobs[0], .kind = "g", .run_at_ms = 4102444800000 },
        { .size = sizeof jobs[0], .kind = "h", .unique_key = "u" },
        { .size = sizeof jobs[0], .kind = "i", .ordering_key = "o" },
        { .size = sizeof jobs[0], .kind = "j", .priority = 4, .args_json = "\"\xc3\xa9\\u00e9\"" },
    };
    enum { N = sizeof jobs / sizeof jobs[0] };
    static const char forget[] = "TRUNCATE awa.ready_entries, awa.deferred_jobs, awa.unique_keys";
    PGconn *db = *state;
    PGconn *producer = test_connect(db, "producer"), *bulk = test_connect(db, "bulk");
    int64_t ids[N];
    const char *one_by_one;
    awa_error err;

    for (size_t i = 0; i < N; i++) {
        test_ok(awa_job_insert(producer, &jobs[i], &ids[i], &err), &err);
        assert_string_equal(
            test_text(db, test_format("SELECT kind FROM awa.jobs WHERE id = %" PRId64, ids[i])),
            jobs[i].kind);
    }
    one_by_one = test_rows(db, rows);
    test_exec(db, forget);
    test_ok(awa_jobs_insert(producer, jobs, N, ids, &err), &err);
    assert_string_equal(test_rows(db, rows), one_by_one);
    test_exec(db, forget);
    test_ok(awa_jobs_copy(bulk, jobs, N, ids, &err), &err);
    for (size_t i = 0; i < N; i++)
        assert_string_equal(
            test_text(db, test_format("SELECT kind FROM awa.jobs WHERE id = %" PRId64, ids[i])),
            jobs[i].kind);
    test_exec(db, "UPDATE awa.ready_entries AS e SET id = e.id - ascii(e.kind) * -1000");
    test_exec(db, "UPDATE awa.deferred_jobs AS e SET id = e.id - ascii(e.kind) * -1000");
    assert_string_equal(test_rows(db, rows), one_by_one);
}

static void
a_duplicate_is_told_and_the_others_go_in(void **state)
{
    const awa_job_options jobs[] = {
        { .size = sizeof jobs[0], .kind = "a", .unique_key = "u" },
        { .size = sizeof jobs[0], .kind = "b", .unique_key = "u" },
        { .size = sizeof jobs[0], .kind = "c" },
    };
    PGconn *producer = test_connect(*state, "producer"), *bulk = test_connect(*state, "bulk");
    int64_t ids[3] = { -1, -1, -1 };
    awa_error err;

    test_ok(awa_jobs_insert(producer, jobs, 3, ids, &err), &err);
    assert_true(ids[0] > 0 && ids[1] == 0 && ids[2] > 0);
    test_ok(awa_jobs_copy(bulk, jobs, 3, ids, &err), &err);
    assert_true(ids[0] == 0 && ids[1] == 0 && ids[2] > 0);
    assert_int_equal(awa_job_insert(producer, &jobs[0], ids, &err), AWA_EEXISTS);
    assert_string_equal(err.message, "insert: a live job holds the unique key u");
    assert_int_equal(test_count(*state, "available"), 3);
}

static void
a_copy_in_the_callers_transaction_goes_with_it(void **state)
{
    PGconn *bulk = test_connect(*state, "bulk");
    PGconn *worker = test_worker(*state, 7);
    awa_error err;

    test_exec(bulk, "BEGIN");
    test_ok(awa_jobs_copy(bulk, AWA_JOB(.kind = "k"), 1, NULL, &err), &err);
    test_exec(bulk, "ROLLBACK");
    test_ok(awa_jobs_copy(bulk, AWA_JOB(.kind = "k"), 1, NULL, &err), &err);
    assert_int_equal(PQtransactionStatus(bulk), PQTRANS_IDLE);
    test_claim_one(worker, 7);
}

/* A job with metadata does not go through COPY, but into the same transaction. */
static void
a_copy_by_two_doors_is_whole_or_not_at_all(void **state)
{
    awa_job_options jobs[] = {
        { .size = sizeof jobs[0], .kind = "a" },
        { .size = sizeof jobs[0], .kind = "b", .metadata_json = "{" },
    };
    PGconn *bulk = test_connect(*state, "bulk");
    awa_error err;

    assert_int_equal(awa_jobs_copy(bulk, jobs, 2, NULL, &err), AWA_EINVAL);
    assert_non_null(strstr(err.message, "job 1: metadata: ")); /* as the caller counts them */
    assert_int_equal(PQtransactionStatus(bulk), PQTRANS_IDLE);
    assert_int_equal(test_count(*state, "available"), 0);
    jobs[1].metadata_json = "{}";
    test_ok(awa_jobs_copy(bulk, jobs, 2, NULL, &err), &err);
    assert_int_equal(PQtransactionStatus(bulk), PQTRANS_IDLE);
    assert_int_equal(test_count(*state, "available"), 2);
}

static void
a_copy_leaves_a_pipeline_of_the_caller_alone(void **state)
{
    PGconn *bulk = test_connect(*state, "bulk");
    awa_error err;

    assert_int_equal(PQenterPipelineMode(bulk), 1);
    assert_int_equal(awa_jobs_copy(bulk, AWA_JOB(.kind = "k"), 1, NULL, &err), AWA_EINVAL);
    assert_string_equal(err.message, "positions_reserve: the session is in pipeline mode");
    assert_int_equal(PQpipelineStatus(bulk), PQ_PIPELINE_ON);
    assert_int_equal(PQexitPipelineMode(bulk), 1);
    test_ok(awa_jobs_copy(bulk, AWA_JOB(.kind = "k"), 1, NULL, &err), &err);
}

static void
copies_of_many_jobs_keep_their_order(void **state)
{
    enum { N = 3000 };
    static awa_job_options jobs[N];
    static int64_t ids[N];
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);
    awa_error err;

    for (size_t i = 0; i < N; i++)
        jobs[i] = (awa_job_options){ .size = sizeof jobs[0],
                                     .kind = "k",
                                     .queue = i < N / 2 ? NULL : "mail" };
    test_ok(awa_jobs_copy(test_connect(db, "bulk"), jobs, N, ids, &err), &err);
    for (size_t i = 1; i < N; i++)
        assert_true(ids[i] > ids[i - 1]);
    assert_int_equal(test_int(worker, "SELECT count(*) FROM (SELECT c.id > lag(c.id) OVER () AS up"
                                      " FROM awa.claim_jobs(7, 'default', 10000) AS c) AS c"
                                      " WHERE up"),
                     N / 2 - 1);
}

static void
a_session_that_takes_no_utf8_is_refused_at_every_door(void **state)
{
    static const char text[] = "{\"name\": \"W\xc4\x81i \xe2\x82\xac\"}"; /* a macron, a euro */
    const awa_job_options job = *AWA_JOB(.kind = "k", .args_json = text);
    PGconn *db = *state, *bulk = test_connect(db, "bulk");
    awa_error err;

    for (int i = 0; i < 3; i++) {
        static const char *const encodings[] = { "LATIN1", "WIN1252", "SJIS" };

        assert_int_equal(PQsetClientEncoding(bulk, encodings[i]), 0);
        assert_int_equal(awa_job_insert(bulk, &job, NULL, &err), AWA_EINVAL);
        assert_string_equal(
            err.message,
            test_format("insert: want client_encoding UTF8, the session has %s", encodings[i]));
        assert_int_equal(awa_jobs_insert(bulk, &job, 1, NULL, &err), AWA_EINVAL);
        assert_int_equal(awa_jobs_copy(bulk, &job, 1, NULL, &err), AWA_EINVAL);
        assert_int_equal(PQtransactionStatus(bulk), PQTRANS_IDLE);
    }
    assert_int_equal(PQsetClientEncoding(bulk, "SQL_ASCII"), 0);
    test_ok(awa_job_insert(bulk, &job, NULL, &err), &err);
    test_ok(awa_jobs_insert(bulk, &job, 1, NULL, &err), &err);
    test_ok(awa_jobs_copy(bulk, &job, 1, NULL, &err), &err);
    assert_string_equal(test_rows(db, "SELECT args, count(*) FROM awa.jobs GROUP BY 1"),
                        test_format("%s|3", text));
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_DB(a_job_has_the_defaults_of_the_engine),
        TEST_DB(every_option_of_a_job_is_kept),
        TEST_DB(a_job_of_the_future_waits_for_its_time),
        TEST_DB(a_wrong_option_is_refused_by_name),
        TEST_DB(a_value_at_its_limit_is_taken),
        TEST_DB(what_rolls_back_was_never_there),
        TEST_DB(every_option_of_each_job_of_a_batch_is_kept),
        TEST_DB(ids_rise_in_the_order_of_the_batch),
        TEST_DB(a_batch_is_claimed_in_its_order),
        TEST_DB(one_bad_job_never_stops_its_neighbours),
        TEST_DB(a_strict_batch_with_a_bad_job_is_refused_as_a_whole),
        TEST_DB(arrays_that_do_not_fit_are_refused),
        TEST_DB(a_key_belongs_to_a_job_as_long_as_it_lives),
        TEST_DB(the_same_key_twice_in_a_batch_belongs_to_the_first),
        TEST_DB(a_pruned_job_holds_no_key),
        TEST_DB(a_job_that_runs_again_keeps_its_key),
        TEST_DB(each_queue_and_priority_has_a_lane),
        TEST_DB(jobs_of_one_ordering_key_stay_in_one_lane),
        TEST_DB(a_full_lane_gets_a_successor),
        TEST_DB(thousands_of_queues_are_opened_in_one_transaction),
        TEST_DB(the_number_of_a_lane_that_was_rolled_back_is_used_again),
        TEST_DB(a_free_number_is_found_behind_thousands_in_use),
        TEST_DB(the_doors_of_c_make_the_same_jobs),
        TEST_DB(a_duplicate_is_told_and_the_others_go_in),
        TEST_DB(a_copy_in_the_callers_transaction_goes_with_it),
        TEST_DB(a_session_that_takes_no_utf8_is_refused_at_every_door),
        TEST_DB(a_copy_by_two_doors_is_whole_or_not_at_all),
        TEST_DB(a_copy_leaves_a_pipeline_of_the_caller_alone),
        TEST_DB(copies_of_many_jobs_keep_their_order),
    };

    return TEST_RUN(tests);
}
