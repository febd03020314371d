/* SPDX-License-Identifier: MIT */
/* What can be seen: views, lookups, lists, counts, explanations, health. */
#include "test_jobs.h"

#include <inttypes.h>
#include <string.h>

/* ---- States ------------------------------------------------------------------------------ */

static const char columns[] =
    "state, attempt, attempted_at IS NOT NULL AS a, deadline_at IS NOT NULL AS d, finalized_at IS"
    " NOT NULL AS f, run_lease, worker_id, ready_slot IS NOT NULL AS s, jsonb_array_length(errors)";

static void
each_state_shows_what_belongs_to_it(void **state)
{
    static const struct {
        const char *outcome; /* of the only attempt; NULL: none was made */
        const char *rest, *want;
    } cases[] = {
        { NULL, "", "available|0|f|f|f|||t|" },
        { "", "", "running|1|t|t|f|2|7|t|" },
        { "completed", "", "completed|1|f|f|t|||t|" },
        { "failed", "", "failed|1|f|f|t|||t|1" },
        { "cancelled", "", "cancelled|1|f|f|t|||t|1" },
        { "retried", "", "retryable|1|f|f|f|||f|1" },
        { "snoozed", "NULL, NULL, '{1 h}'", "scheduled|0|f|f|f|||f|" },
        { "released", "", "available|0|f|f|f|||t|" },
        { "expired", "", "retryable|1|f|f|f|||f|1" },
    };
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *viewer = test_connect(db, "viewer");

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t id = test_insert(db);

        if (cases[i].outcome != NULL) {
            struct attempt a;

            test_exec(db, "SELECT setval('awa.claim_ids', 1)");
            a = test_claim_one(worker, 7);
            if (*cases[i].outcome != '\0')
                test_text(worker, test_close_sql(&a, cases[i].outcome, cases[i].rest));
        }
        assert_string_equal(
            test_rows(viewer,
                      test_format("SELECT %s FROM awa.jobs WHERE id = %" PRId64, columns, id)),
            cases[i].want);
        assert_string_equal(
            test_rows(viewer, test_format("SELECT %s FROM awa.get_job(%" PRId64 ")", columns, id)),
            cases[i].want);
        test_exec(db, "TRUNCATE awa.ready_entries, awa.claims, awa.closures, awa.done_entries,"
                      " awa.deferred_jobs");
    }
    assert_string_equal(test_rows(viewer, "SELECT id FROM awa.get_job(1)"), "");
}

/* ---- After a lot has happened ------------------------------------------------------------ */

static void
a_job_is_in_one_state_and_counted_in_it(void **state)
{
    static const char counted[] =
        "SELECT queue, available, scheduled, retryable, running, completed, failed, cancelled"
        " FROM awa.queue_counts(%s) WHERE queue LIKE 'q%%'";
    static const char looked[] =
        "SELECT queue, count(*) FILTER (WHERE state = 'available'), count(*) FILTER (WHERE state ="
        " 'scheduled'), count(*) FILTER (WHERE state = 'retryable'), count(*) FILTER (WHERE state ="
        " 'running'), count(*) FILTER (WHERE state = 'completed'), count(*) FILTER (WHERE state ="
        " 'failed'), count(*) FILTER (WHERE state = 'cancelled') FROM awa.jobs GROUP BY queue ORDER"
        " BY queue";
    PGconn *db = *state;
    PGconn *viewer = test_connect(db, "viewer");

    test_exec(db, "SELECT awa.set_queue('q0'), awa.set_queue('q1'), awa.set_queue('q2')");
    for (unsigned seed = 1; seed <= 8; seed++) {
        test_shake(db, seed, 60);
        test_exec(db, "DELETE FROM awa.workers");
        assert_int_equal(test_int(db, "SELECT count(*) FROM (SELECT id FROM awa.jobs GROUP BY id"
                                      " HAVING count(*) > 1) AS j"),
                         0);
        assert_string_equal(test_rows(viewer, test_format(counted, "NULL")),
                            test_rows(viewer, looked));
        assert_string_equal(test_rows(viewer, test_format(counted, "'q1'")),
                            test_rows(viewer, test_format("SELECT * FROM (%s) AS n WHERE queue ="
                                                          " 'q1'",
                                                          looked)));
    }
    assert_int_equal(test_int(db, "SELECT count(DISTINCT state) FROM awa.jobs"), 7);
}

/* All ids of a list, page by page. */
static const char *
all_pages(PGconn *viewer, const char *filter, int limit)
{
    const char *all = "", *page, *before = "NULL";

    do {
        page = test_text(viewer, test_format("SELECT coalesce(string_agg(id::text, ' '), '') FROM"
                                             " awa.list_jobs(%s, p_before => %s, p_limit => %d)",
                                             filter, before, limit));
        all = test_format("%s%s%s", all, *all != '\0' && *page != '\0' ? " " : "", page);
        before = strrchr(page, ' ') != NULL ? strrchr(page, ' ') + 1 : page;
    } while (*page != '\0');
    return all;
}

static void
a_list_shows_every_job_once_newest_first(void **state)
{
    static const struct {
        const char *filter, *where;
    } cases[] = {
        { "NULL", "true" },
        { "'available'", "state = 'available'" },
        { "'running'", "state = 'running'" },
        { "'scheduled'", "state = 'scheduled'" },
        { "'retryable'", "state = 'retryable'" },
        { "'completed'", "state = 'completed'" },
        { "'failed'", "state = 'failed'" },
        { "'cancelled'", "state = 'cancelled'" },
        { "'waiting_external'", "false" },
        { "p_kind => 'k1'", "kind = 'k1'" },
        { "p_queue => 'q2'", "queue = 'q2'" },
        { "p_tag => 't0'", "'t0' = ANY (tags)" },
        { "'completed', 'k2', 'q1'", "state = 'completed' AND kind = 'k2' AND queue = 'q1'" },
        { "'failed', p_queue => 'q0'", "state = 'failed' AND queue = 'q0'" },
        { "'available', p_tag => 't1'", "state = 'available' AND 't1' = ANY (tags)" },
    };
    PGconn *db = *state;
    PGconn *viewer = test_connect(db, "viewer");

    test_shake(db, 42, 500);
    assert_int_equal(test_int(db, "SELECT count(DISTINCT state) FROM awa.jobs"), 7);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *want = test_text(
            db, test_format("SELECT coalesce(string_agg(id::text, ' ' ORDER BY id DESC), '') FROM"
                            " awa.jobs WHERE %s",
                            cases[i].where));
        static const int limits[] = { 3, 10000 };

        for (size_t l = 0; l < 2; l++) {
            const char *got = all_pages(viewer, cases[i].filter, limits[l]);

            if (strcmp(got, want) != 0)
                fail_msg("%s, %d at once:\ngot  %s\nwant %s", cases[i].filter, limits[l], got,
                         want);
        }
    }
}

static void
a_list_has_limits(void **state)
{
    static const char *const limits[] = { "0", "-1", "10001", "NULL" };
    PGconn *viewer = test_connect(*state, "viewer");

    for (size_t i = 0; i < 4; i++)
        test_expect_error(viewer, "JQ001",
                          test_format("SELECT awa.list_jobs(p_limit => %s)", limits[i]));
    assert_string_equal(test_rows(viewer, "SELECT id FROM awa.list_jobs()"), "");
    test_exec(*state, "SELECT awa.insert_jobs(array_fill('k'::text, '{300}'))");
    assert_int_equal(test_int(viewer, "SELECT count(*) FROM awa.list_jobs()"), 100);
    assert_string_equal(test_rows(viewer, "SELECT id FROM awa.list_jobs(p_before => 3)"), "2 1");
    assert_string_equal(test_rows(viewer, "SELECT id FROM awa.list_jobs(p_before => 1)"), "");

    /* from far above the newest one there is no long way down */
    test_exec(viewer, "SET statement_timeout = '10s'");
    assert_string_equal(test_rows(viewer, "SELECT id FROM awa.list_jobs(p_before => x'7ff0"
                                          "000000000000'::bigint, p_limit => 2)"),
                        "300 299");
}

/* ---- Explanations ------------------------------------------------------------------------ */

static const char *
explain(PGconn *viewer, int64_t id)
{
    return test_text(viewer, test_format("SELECT coalesce(string_agg(finding, '; '), '') FROM"
                                         " awa.explain_job(%" PRId64 ")",
                                         id));
}

static void
expect_words(const char *text, const char *words)
{
    if (strstr(text, words) == NULL)
        fail_msg("want \"%s\" in: %s", words, text);
}

static void
an_explanation_names_what_blocks_a_job(void **state)
{
    PGconn *db = *state;
    PGconn *viewer = test_connect(db, "viewer"), *operator= test_connect(db, "operator");
    PGconn *worker = test_connect(db, "worker");
    int64_t id = test_insert(db), second = test_insert(db), later;

    expect_words(explain(viewer, id), "no worker serves queue default");
    test_exec(worker, "SELECT awa.register_worker(7, 'w7', '{default}', '{other}')");
    expect_words(explain(viewer, id), "no worker of queue default knows kind k");
    test_exec(worker, "SELECT awa.register_worker(8, 'w8', '{default}')");
    expect_words(explain(viewer, id), "available: 0 jobs are before it in its lane"
                                      " (queue default, priority 2, shard 0)");
    expect_words(explain(viewer, second), "available: 1 jobs are before it");
    test_exec(operator, "SELECT awa.pause_queue('default', 'somebody')");
    expect_words(explain(viewer, id), "queue default is paused, by somebody");
    test_exec(operator, "SELECT awa.resume_queue('default')");
    assert_null(strstr(explain(viewer, id), "paused"));

    later = test_int(db, "SELECT awa.insert_job('k', p_delay => '1 h')");
    expect_words(explain(viewer, later), "scheduled: due at 2");
    test_exec(db, "UPDATE awa.deferred_jobs SET run_at = clock_timestamp() - interval '1 s'");
    expect_words(explain(viewer, later), "waits for the leader to promote it");
    test_exec(worker, "SELECT awa.deregister_worker(8)");
    expect_words(explain(viewer, later), "no worker of queue default knows kind k");
    assert_string_equal(explain(viewer, 1000), "");
}

static void
an_explanation_tells_who_runs_a_job_and_how_it_went(void **state)
{
    PGconn *db = *state;
    PGconn *viewer = test_connect(db, "viewer"), *worker = test_worker(db, 7);
    struct attempt a;

    test_insert(db);
    a = test_claim_one(worker, 7);
    expect_words(explain(viewer, a.id), "running: attempt 1 of 25, held by worker w7");
    assert_null(strstr(explain(viewer, a.id), "silent"));
    test_silence(db, 7, 60);
    expect_words(explain(viewer, a.id), "the worker is silent: it will be rescued soon");
    test_text(worker, test_close_sql(&a, "retried", "'{\"no luck\"}', NULL, '{0 s}'"));
    expect_words(explain(viewer, a.id), "retryable: due");
    expect_words(explain(viewer, a.id), "last error, in attempt 1 (retried): no luck");
    test_exec(db, "SELECT awa.promote_jobs()");
    a = test_claim_one(worker, 7);
    test_text(worker, test_close_sql(&a, "failed", "'{\"none at all\"}'"));
    expect_words(explain(viewer, a.id), "failed after 2 attempts");
    expect_words(explain(viewer, a.id), "last error, in attempt 2 (failed): none at all");
    assert_string_equal(
        test_text(viewer,
                  test_format("SELECT hint FROM awa.explain_job(%" PRId64 ") LIMIT 1", a.id)),
        test_format("awa job retry %" PRId64, a.id));
}

/* ---- Status and health ------------------------------------------------------------------- */

static void
a_dump_shows_each_appearance_of_a_job(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *operator= test_connect(db, "operator");
    struct attempt a;

    test_insert(db);
    a = test_claim_one(worker, 7);
    test_close(worker, &a, "failed");
    test_exec(operator, test_format("SELECT awa.retry_job(%" PRId64 ")", a.id));
    test_claim_one(worker, 7);
    assert_string_equal(
        test_rows(operator, test_format(
                      "SELECT d -> 'job' ->> 'id', d ->> 'place', d -> 'lane' ->> 'queue',"
                      " p ->> 'worker', p ->> 'outcome', p ->> 'withdrawn' FROM"
                      " awa.dump_job(%" PRId64 ") AS d, jsonb_array_elements(d -> 'appearances')"
                      " AS p",
                      a.id)),
        test_format("%" PRId64 "|ready_entries|default|w7|failed|removed"
                    " %" PRId64 "|ready_entries|default|w7||",
                    a.id, a.id));
    assert_null(test_text(operator, "SELECT awa.dump_job(99)"));
}

static void
the_storage_tells_its_numbers(void **state)
{
    PGconn *db = *state;
    PGconn *viewer = test_connect(db, "viewer"), *worker = test_worker(db, 7);

    test_insert(db);
    test_exec(db, "SELECT awa.rotate_ring(true)");
    test_exec(db, "SELECT awa.insert_job('k', p_delay => '1 h')");
    test_exec(worker, "SELECT awa.lead(7)");
    assert_string_equal(
        test_rows(viewer, "SELECT item || '=' || value FROM awa.storage_status() WHERE item NOT IN"
                          " ('ring', 'deferred jobs', 'oldest snapshot', 'terminal counters')"),
        "current slot=1 generation=2 slots=16, 15 empty lanes=1"
        " gaps moved aside=0 terminal jobs=0 folded jobs=0 folded slots=0 pruned jobs=0 completed,"
        " 0 failed, 0 cancelled"
        " dead letters=0 live workers=1 leader=w7, term 1");
}

static const char *
unwell(PGconn *viewer)
{
    return test_rows(viewer, "SELECT name FROM awa.health() WHERE NOT ok");
}

static void
health_says_what_is_missing(void **state)
{
    PGconn *db = *state;
    PGconn *viewer = test_connect(db, "viewer"), *worker;

    assert_string_equal(unwell(viewer), "workers leader");
    worker = test_worker(db, 7);
    assert_string_equal(unwell(viewer), "leader");
    test_exec(worker, "SELECT awa.lead(7)");
    assert_string_equal(unwell(viewer), "");
    test_exec(db, "SELECT awa.insert_job('k', p_delay => '1 h')");
    assert_string_equal(unwell(viewer), "");
    test_exec(db, "UPDATE awa.deferred_jobs SET run_at = now() - interval '11 s'");
    assert_string_equal(unwell(viewer), "deferred jobs");
    test_silence(db, 7, 16);
    test_exec(worker, "SELECT awa.lead(7, p_resign => true)");
    assert_string_equal(unwell(viewer), "workers leader deferred jobs");
    for (int i = 0; i < 16; i++)
        test_exec(db, "SELECT awa.insert_job('k'), awa.rotate_ring(true)");
    test_exec(db, "DELETE FROM awa.deferred_jobs");
    assert_string_equal(unwell(viewer), "workers leader"); /* none is empty, but there is room */
    test_exec(db, "UPDATE awa.settings SET slot_bytes = 8192;"
                  "SELECT awa.insert_jobs(array_fill('k'::text, '{300}'))");
    assert_string_equal(unwell(viewer), "workers leader ring");
}

static void
queues_and_workers_are_listed(void **state)
{
    PGconn *db = *state;
    PGconn *viewer = test_connect(db, "viewer"), *worker = test_connect(db, "worker");
    PGconn *operator= test_connect(db, "operator");

    test_exec(worker, "SELECT awa.register_worker(7, 'w7', '{a,b}', '{k}')");
    test_exec(worker, "SELECT awa.register_worker(8, 'w8', '{a}')");
    test_exec(worker, "SELECT awa.lead(8)");
    test_exec(db, "SELECT awa.insert_job('k', p_queue => 'c')");
    test_exec(db, "SELECT awa.insert_job('k', p_queue => 'd', p_delay => '1 h')");
    test_exec(operator, "SELECT awa.set_queue('b', 3, '7 s'), awa.pause_queue('b', 'me')");
    assert_string_equal(
        test_rows(viewer, "SELECT queue, paused_by, enqueue_shards, deadline, aging_interval,"
                          " workers, lanes FROM awa.queue_list ORDER BY queue"),
        "a||1|00:05:00|00:01:00|2|0 b|me|3|00:00:07|00:01:00|1|0 c||1|00:05:00|00:01:00|0|1"
        " d||1|00:05:00|00:01:00|0|0");
    test_exec(worker, "SELECT awa.deregister_worker(7)");
    assert_string_equal(test_rows(viewer, "SELECT name, queues, kinds, ended_at IS NULL, rescued,"
                                          " leads FROM awa.worker_list ORDER BY name"),
                        "w7|{a,b}|{k}|f|0|f w8|{a}||t|0|t");
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_DB(each_state_shows_what_belongs_to_it),
        TEST_DB(a_job_is_in_one_state_and_counted_in_it),
        TEST_DB(a_list_shows_every_job_once_newest_first),
        TEST_DB(a_list_has_limits),
        TEST_DB(an_explanation_names_what_blocks_a_job),
        TEST_DB(an_explanation_tells_who_runs_a_job_and_how_it_went),
        TEST_DB(a_dump_shows_each_appearance_of_a_job),
        TEST_DB(the_storage_tells_its_numbers),
        TEST_DB(health_says_what_is_missing),
        TEST_DB(queues_and_workers_are_listed),
    };

    return TEST_RUN(tests);
}
