/* SPDX-License-Identifier: MIT */
/* Follow-ups: what is inserted when a job ends, whoever ends it, exactly once. */
#include "test_jobs.h"

#include <inttypes.h>
#include <string.h>

#define FOLLOW(event) \
    "{\"on\": \"" event "\", \"job\": {\"kind\": \"" event "\", \"queue\": \"next\"}}"
#define EACH_EVENT                                                          \
    "{\"follow\": [" FOLLOW("completed") ", " FOLLOW("failed") ", " FOLLOW( \
        "cancelled") ", " FOLLOW("ended") ", " FOLLOW("retried") ", " FOLLOW("rescued") "]}"

/* The kinds that have followed so far. */
static const char *
followed(PGconn *db)
{
    return test_text(db, "SELECT coalesce(string_agg(kind, ' ' ORDER BY id), '') FROM awa.jobs"
                         " WHERE queue = 'next'");
}

/* ---- Each way to end --------------------------------------------------------------------- */

static const struct way {
    const char *name;
    const char *before; /* done to the job before it is claimed; NULL: it is claimed at once */
    const char *sql;    /* what ends it; <...> as in test_attempt_sql(), $id is the job */
    const char *want;   /* what follows */
    const char *more;   /* parameters of the job */
    bool unclaimed;
} ways[] = {
    { "compact", NULL, "SELECT awa.complete_jobs(7, '{<slot>}', '{<claim>}', '{\"<run>\"}')",
      "completed ended", "", false },
    { "compact, carried", NULL,
      "SELECT awa.rotate_ring(true), awa.checkpoint_heads(0::smallint), "
      "awa.carry_forward(0::smallint);"
      "SELECT awa.complete_jobs(7, '{<slot>}', '{<claim>}', '{\"<run>\"}')",
      "completed ended", "", false },
    { "own transaction", NULL, "SELECT awa.complete_job(7, <claim>, <pos>)", "completed ended", "",
      false },
    { "own transaction, with output", NULL, "SELECT awa.complete_job(7, <claim>, <pos>, '5')",
      "completed ended", "", false },
    { "completed", NULL, "close completed", "completed ended", "", false },
    { "failed", NULL, "close failed", "failed ended", "", false },
    { "failed, a dead letter", "SELECT awa.set_queue('default', p_dlq_enabled => true)",
      "close failed", "failed ended", "", false },
    { "cancelled", NULL, "close cancelled", "cancelled ended", "", false },
    { "retried", NULL, "close retried", "retried", "", false },
    { "retried, for the last time", NULL, "close retried", "failed ended", ", p_max_attempts => 1",
      false },
    { "snoozed", NULL, "close snoozed", "", "", false },
    { "released", NULL, "close released", "", "", false },
    { "expired by its worker", NULL, "close expired", "retried", "", false },
    { "expired by the leader", NULL,
      "SELECT awa.expire_jobs(p_now => clock_timestamp() + interval '1 h')", "retried", "", false },
    { "rescued", NULL, "SELECT awa.deregister_worker(7); SELECT awa.rescue_jobs()", "rescued", "",
      false },
    { "rescued, for the last time", NULL,
      "SELECT awa.deregister_worker(7); SELECT awa.rescue_jobs()", "failed ended",
      ", p_max_attempts => 1", false },
    { "reconciled", NULL, "SELECT awa.reconcile_worker(7, '{}')", "", "", false },
    { "an operator cancels it running", NULL, "SELECT awa.cancel_job(<id>)", "cancelled ended", "",
      false },
    { "an operator cancels it waiting", NULL, "SELECT awa.cancel_job(<id>)", "cancelled ended", "",
      true },
    { "an operator cancels it deferred", NULL, "SELECT awa.cancel_job(<id>)", "cancelled ended",
      ", p_delay => '1 h'", true },
    { "drained waiting", NULL, "SELECT awa.drain_queue('default')", "cancelled ended", "", true },
    { "drained deferred", NULL, "SELECT awa.drain_queue('default')", "cancelled ended",
      ", p_delay => '1 h'", true },
    { "deleted running", NULL, "DELETE FROM awa.jobs WHERE id = <id>", "cancelled ended", "",
      false },
    { "deleted waiting", NULL, "DELETE FROM awa.jobs WHERE id = <id>", "cancelled ended", "",
      true },
    { "deleted deferred", NULL, "DELETE FROM awa.jobs WHERE id = <id>", "cancelled ended",
      ", p_delay => '1 h'", true },
};

static void
end_by(PGconn *db, const struct way *w, const struct attempt *a)
{
    if (strncmp(w->sql, "close ", 6) == 0)
        test_exec(db, test_close_sql(a, w->sql + 6, ""));
    else
        test_exec(db, test_attempt_sql(w->sql, a));
}

static void
each_end_has_what_follows_from_it(void **state)
{
    PGconn *db = *state;

    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        const struct way *w = &ways[i];
        struct attempt a = { 0 };

        test_exec(db, "SELECT awa.reset_storage(current_database()::text),"
                      " awa.set_queue('default', p_reset => true); DELETE FROM awa.workers");
        if (w->before != NULL)
            test_exec(db, w->before);
        a.id =
            test_int(db, test_format("SELECT awa.insert_job('k', p_options => '" EACH_EVENT "'%s)",
                                     w->more));
        test_exec(db, "SELECT awa.register_worker(7, 'w7', '{default}', p_session => false)");
        if (!w->unclaimed)
            a = test_claim_one(db, 7);
        test_exec(db, "BEGIN");
        end_by(db, w, &a);
        test_exec(db, "ROLLBACK");
        assert_string_equal(followed(db), "");
        end_by(db, w, &a);
        if (strcmp(followed(db), w->want) != 0)
            fail_msg("%s: %s followed, not %s", w->name, followed(db), w->want);
        if (!w->unclaimed) { /* what it says later is stale */
            test_exec(db, test_close_sql(&a, "completed", ""));
            test_exec(db, test_complete_sql(&a));
            assert_string_equal(followed(db), w->want);
        }
    }
}

static void
a_retried_job_has_followers_anew(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);
    struct attempt a;

    test_exec(db, "SELECT awa.insert_job('k', p_options => '" EACH_EVENT "')");
    for (int i = 0; i < 2; i++) {
        a = test_claim_one(worker, 7);
        test_exec(worker, test_close_sql(&a, "retried", "p_delays => '{0 s}'"));
        test_exec(worker, "SELECT awa.promote_jobs()");
    }
    a = test_claim_one(worker, 7);
    test_close(worker, &a, "failed");
    assert_string_equal(followed(db), "retried retried failed ended");
    test_exec(db, test_format("SELECT awa.retry_job(%" PRId64 ")", a.id));
    a = test_claim_one(worker, 7);
    test_exec(worker, test_complete_sql(&a));
    assert_string_equal(followed(db), "retried retried failed ended completed ended");
}

static void
what_happens_to_a_job_that_has_ended_is_no_end(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);
    struct attempt a;

    test_exec(db, "SELECT awa.insert_job('k', p_options => '" EACH_EVENT "')");
    a = test_claim_one(worker, 7);
    test_close(worker, &a, "failed");
    test_exec(db, test_format("SELECT awa.move_to_dlq(%" PRId64 ")", a.id));
    test_exec(db, test_format("DELETE FROM awa.jobs WHERE id = %" PRId64, a.id));
    assert_string_equal(followed(db), "failed ended");
}

/* ---- What a job that follows is ---------------------------------------------------------- */

static void
a_follower_is_as_its_template_says(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);
    struct attempt a;

    test_exec(
        db, "SELECT awa.insert_job('k', '{\"to\": [\"ann\", \"bob\"]}', p_metadata =>"
            " '{\"traceparent\": \"t\", \"x\": 1}', p_options =>"
            " '{\"follow\": [{\"on\": \"ended\", \"job\": {\"kind\": \"full\", \"queue\": \"next\","
            " \"priority\": 1, \"max_attempts\": 3, \"tags\": [\"a\", \"b\"], \"metadata\":"
            " {\"own\": true}, \"unique_key\": \"u\", \"max_run_ms\": 7000, \"follow\": [{\"on\":"
            " \"failed\", \"job\": {\"kind\": \"z\"}}], \"args\": {\"second\": {\"$path\":"
            " \"$.job.args.to[1]\"}, \"deep\": [1, {\"x\": {\"$path\": \"$.output.n\"}}], \"none\":"
            " {\"$path\": \"$.nothing\"}, \"how\": {\"$path\": \"$.outcome\"}, \"plain\": \"p\"}}},"
            " {\"on\": \"ended\", \"job\": {\"kind\": \"bare\", \"queue\": \"next\", \"delay_ms\":"
            " 3600000}}]}')");
    a = test_claim_one(worker, 7);
    test_exec(worker, test_close_sql(&a, "completed", "p_outputs => ARRAY['{\"n\": 5}']"));
    assert_string_equal(
        test_rows(db, "SELECT state, priority, max_attempts, tags, unique_key, options - 'follow',"
                      " options #>> '{follow,0,job,kind}', args FROM awa.jobs WHERE kind = 'full'"),
        "available|1|3|{a,b}|u|{\"max_run_ms\": 7000}|z|{\"how\": \"completed\", \"deep\": [1,"
        " {\"x\": 5}], \"none\": null, \"plain\": \"p\", \"second\": \"bob\"}");
    assert_string_equal(
        test_rows(db,
                  test_format("SELECT metadata = jsonb_build_object('own', true, 'traceparent',"
                              " 't', 'awa:parent', jsonb_build_object('id', %" PRId64
                              ", 'on', 'completed', 'generation', 1)) FROM awa.jobs WHERE kind ="
                              " 'full'",
                              a.id)),
        "t");
    assert_string_equal(
        test_rows(db, "SELECT state, priority, max_attempts, args, run_at > now() + interval"
                      " '59 min' FROM awa.jobs WHERE kind = 'bare'"),
        "scheduled|2|25|{}|t");
}

#define PATH(path)                                                                                 \
    "[{\"on\": \"ended\", \"job\": {\"kind\": \"k\", \"args\": [{\"a\": {\"$path\": " path "}}]}}" \
    "]"

static void
a_door_refuses_what_cannot_follow(void **state)
{
    static const struct {
        const char *follow, *want;
    } cases[] = {
        { "{}", "follow: want a list, got object" },
        { "[]", "follow: want 1 to 10, got 0" },
        { "[1]", "follow 0: want an object of \"on\" and \"job\"" },
        { "[{\"on\": \"ended\"}]", "follow 0: want an object" },
        { "[{\"on\": \"ended\", \"job\": {\"kind\": \"k\"}, \"x\": 1}]",
          "follow 0: want an object" },
        { "[{\"on\": \"done\", \"job\": {\"kind\": \"k\"}}]",
          "follow 0: on: want completed, failed,"
          " cancelled, ended, retried or"
          " rescued, got done" },
        { "[{\"on\": \"ended\", \"job\": 5}]", "follow 0: job: want an object" },
        { "[{\"on\": \"ended\", \"job\": {}}]", "follow 0: kind: missing" },
        { "[{\"on\": \"ended\", \"job\": {\"kind\": 5}}]", "follow 0: kind: want a string" },
        { "[{\"on\": \"ended\", \"job\": {\"kind\": \"k\", \"priority\": 5}}]",
          "follow 0: priority: want 1 to 4, got 5" },
        { "[{\"on\": \"ended\", \"job\": {\"kind\": \"k\", \"priority\": \"1\"}}]",
          "follow 0: priority: want a whole number" },
        { "[{\"on\": \"ended\", \"job\": {\"kind\": \"k\", \"delay_ms\": 1.5}}]",
          "follow 0: delay_ms: want a whole number" },
        { "[{\"on\": \"ended\", \"job\": {\"kind\": \"k\", \"run_at\": \"now\"}}]",
          "follow 0: options: there is no option run_at" },
        { "[{\"on\": \"ended\", \"job\": {\"kind\": \"k\", \"args\": {\"a\": {\"$path\": "
          "\"$.[\"}}}}]",
          "follow 0: args: $path: " },
        { "[{\"on\": \"ended\", \"job\": {\"kind\": \"k\", \"follow\": [{\"on\": \"x\"}]}}]",
          "follow 0: follow 0: want an object" },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *error = test_error(
            *state, test_format("SELECT awa.insert_job('k', p_options => '{\"follow\": %s}')",
                                cases[i].follow));

        if (strstr(error, cases[i].want) == NULL)
            fail_msg("%s: %s", cases[i].follow, error);
    }
    test_expect_error(
        *state, "JQ001",
        "SELECT awa.insert_job('k', p_options => format('{\"follow\": [{\"on\": \"ended\","
        " \"job\": {\"kind\": \"k\", \"args\": %s{\"$path\": \"$\"}%s}}]}',"
        " repeat('[', 98), repeat(']', 98))::jsonb)");
    assert_int_equal(test_int(*state, "SELECT count(*) FROM awa.jobs"), 0);
    test_exec(*state,
              "SELECT awa.insert_job('k', p_options => '{\"follow\": [{\"on\": \"ended\","
              " \"job\": {\"kind\": \"k\", \"args\": {\"$path\": \"no path\", \"x\": 1}}}]}')");
}

static void
nothing_follows_for_ever(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);
    struct attempt a;

    test_exec(db, "SELECT awa.set_follow_rule('loop', 'ended', '{\"kind\": \"k\"}')");
    test_exec(db, "SELECT awa.insert_job('k', p_metadata =>"
                  " '{\"awa:parent\": {\"generation\": 98}}')");
    for (int i = 0; i < 3; i++) {
        a = test_claim_one(worker, 7);
        test_exec(worker, test_complete_sql(&a));
    }
    assert_string_equal(
        test_rows(db, "SELECT state, errors #>> '{0,outcome}', errors #>> '{0,error}' FROM awa.jobs"
                      " ORDER BY id"),
        "completed|| completed|| completed|skipped|follow-up k: 100 jobs have followed one from the"
        " other");
    assert_int_equal(test_count(db, "completed"), 3);
}

/* ---- An end does not fail for what follows ----------------------------------------------- */

#define KEYED                                                                                \
    "{\"follow\": [" FOLLOW("ended") ", {\"on\": \"ended\", \"job\": {\"kind\": \"keyed\", " \
                                     "\"queue\": \"next\", \"unique_key\": \"u\"}}]}"

static void
a_key_that_is_taken_is_written_down(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);
    struct attempt a[3];

    test_exec(db, "SELECT awa.insert_job('holder', p_queue => 'x', p_unique_key => 'u')");
    for (int i = 0; i < 3; i++)
        test_exec(db, "SELECT awa.insert_job('k', p_options => '" KEYED "')");
    assert_int_equal(test_claim(worker, 7, 3, a), 3);
    test_exec(worker, test_complete_sql(&a[0]));
    test_close(worker, &a[1], "failed");
    test_exec(worker, test_format("SELECT awa.complete_job(7, %" PRId64 ", %" PRId64 ")",
                                  a[2].claim, a[2].pos));
    assert_string_equal(followed(db), "ended ended ended");
    assert_string_equal(
        test_rows(db, "SELECT state, errors -> -1 ->> 'outcome', errors -> 0 ->> 'outcome',"
                      " errors -> 0 ->> 'error' FROM awa.jobs WHERE kind = 'k' ORDER BY id"),
        "completed|skipped|skipped|follow-up keyed: a live job holds the unique key u"
        " failed|failed|skipped|follow-up keyed: a live job holds the unique key u"
        " completed|skipped|skipped|follow-up keyed: a live job holds the unique key u");
    assert_string_equal(test_rows(db, "SELECT completed, failed FROM awa.queue_counts('default')"),
                        "2|1");
}

/* The flush does not wait for a stranger's open transaction; the leader decides later. */
static void
a_key_that_is_being_taken_waits_for_the_leader(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *stranger = test_connect(db, "producer");
    struct attempt a[2];

    test_exec(db, "SELECT awa.insert_job('k', p_options => '" KEYED "')");
    test_exec(db, "SELECT awa.insert_job('k', p_options => '" KEYED "')");
    assert_int_equal(test_claim(worker, 7, 2, a), 2);
    test_exec(stranger, "BEGIN; SELECT awa.insert_job('x', p_queue => 'x', p_unique_key => 'u')");
    test_exec(worker, test_complete_sql(&a[0]));
    test_exec(worker, test_complete_sql(&a[1]));
    assert_string_equal(followed(db), "ended ended");
    assert_int_equal(test_int(worker, "SELECT awa.decide_jobs()"), 0);
    assert_string_equal(test_text(db,
                                  "SELECT highest = (SELECT max(job_id) FROM awa.undecided_jobs)"
                                  " FROM awa.drawn_numbers() WHERE sequence ="
                                  " 'awa.job_ids'::regclass"),
                        "t");
    test_exec(stranger, "ROLLBACK");
    assert_non_null(strstr(test_text(worker, "SELECT tasks FROM awa.lead(7)"), "decide"));
    assert_int_equal(test_int(worker, "SELECT awa.decide_jobs()"), 2);
    assert_int_equal(test_int(worker, "SELECT awa.decide_jobs()"), 0);
    assert_int_equal(test_int(db, "SELECT count(*) FROM awa.jobs WHERE kind = 'keyed' AND"
                                  " unique_key = 'u'"),
                     1);
}

static void
a_bad_undecided_job_does_not_stop_the_others(void **state)
{
    PGconn *worker = test_worker(*state, 7);

    test_exec(*state, "INSERT INTO awa.undecided_jobs SELECT n, jsonb_build_object('id', n, 'kind',"
                      " 'k' || n, 'args', 5, 'queue', 'next', 'priority', 2, 'enqueue_shard', 0,"
                      " 'max_attempts', CASE n WHEN 2 THEN 99999 ELSE 5 END)"
                      " FROM generate_series(1, 3) AS n");
    assert_int_equal(test_int(worker, "SELECT awa.decide_jobs()"), 2);
    assert_string_equal(followed(*state), "k1 k3");
    assert_int_equal(test_int(*state, "SELECT count(*) FROM awa.undecided_jobs"), 0);
}

/* A COPY brings what the door would have refused. */
static void
a_template_that_is_no_job_is_written_down(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);
    struct attempt a;

    test_exec(db, "SELECT awa.insert_job('k')");
    test_exec(db, "UPDATE awa.ready_entries SET options = '{\"follow\": [7, {\"on\": \"ended\","
                  " \"job\": {\"kind\": \"bad\", \"priority\": \"high\"}}, {\"on\": \"ended\","
                  " \"job\": {\"kind\": \"path\", \"args\": {\"$path\": \"$x\"}}}, " FOLLOW(
                      "ended") "]}'");
    a = test_claim_one(worker, 7);
    test_exec(worker, test_complete_sql(&a));
    assert_string_equal(followed(db), "ended");
    assert_string_equal(test_rows(db, "SELECT state, errors -> 0 ->> 'error' FROM awa.jobs WHERE"
                                      " kind = 'k'"),
                        "completed|follow-up bad: invalid input syntax for type integer: \"high\"");
}

/* ---- By rules ---------------------------------------------------------------------------- */

static void
a_rule_counts_for_its_queue_and_kind(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *operator= test_connect(db, "operator");
    struct attempt a[4];

    test_exec(operator,
              "SELECT awa.set_follow_rule('any', 'failed', '{\"kind\": \"any\", \"queue\":"
              " \"next\"}')");
    test_exec(operator, "SELECT awa.set_follow_rule('queue', 'completed', '{\"kind\": \"queue\","
                        " \"queue\": \"next\"}', p_queue => 'default')");
    test_exec(operator,
              "SELECT awa.set_follow_rule('kind', 'ended', '{\"kind\": \"kind\", \"queue\":"
              " \"next\"}', p_kind => 'a')");
    test_exec(operator, "SELECT awa.set_follow_rule('other', 'ended', '{\"kind\": \"other\"}',"
                        " p_queue => 'elsewhere')");
    test_exec(db, "SELECT awa.insert_jobs('{a,b,a,b}')");
    assert_string_equal(
        test_rows(operator, "SELECT finding, hint FROM awa.explain_job(1) WHERE finding LIKE 'on %'"
                            " ORDER BY 1"),
        "on completed, a job of kind queue follows|rule queue, see awa follow list"
        " on ended, a job of kind kind follows|rule kind, see awa follow list"
        " on failed, a job of kind any follows|rule any, see awa follow list");
    assert_int_equal(test_claim(worker, 7, 4, a), 4);
    test_exec(worker, test_complete_sql(&a[0]));
    assert_string_equal(followed(db), "queue kind");
    test_exec(worker, test_complete_sql(&a[1]));
    assert_string_equal(followed(db), "queue kind queue");
    test_close(worker, &a[2], "failed");
    assert_string_equal(followed(db), "queue kind queue any kind");
    test_exec(operator, "SELECT awa.remove_follow_rule(name) FROM awa.list_follow_rules()");
    test_exec(worker, test_complete_sql(&a[3]));
    assert_string_equal(followed(db), "queue kind queue any kind");
}

/* They are inserted some hundreds at a time. */
static void
many_follow_at_once(void **state)
{
    static const char complete[] =
        "SELECT awa.complete_jobs(7, ARRAY[%d]::smallint[], ARRAY[%" PRId64 "], ARRAY[(SELECT"
        " range_agg(int8range(p, p + 1)) FROM generate_series(%" PRId64 ", %" PRId64
        ", %d) AS p)])";
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);
    struct attempt a;

    test_exec(db, "SELECT awa.set_follow_rule('r', 'completed', '{\"kind\": \"next\", \"queue\":"
                  " \"next\", \"args\": {\"$path\": \"$.job.args\"}}')");
    test_exec(db,
              "SELECT awa.insert_jobs(array_fill('k'::text, '{2000}'), ARRAY(SELECT i::text FROM"
              " generate_series(1, 2000) AS i))");
    sscanf(test_rows(worker, "SELECT min(pos), min(claim_id), min(ready_slot) FROM"
                             " awa.claim_jobs(7, 'default', 10000)"),
           "%" SCNd64 "|%" SCNd64 "|%d", &a.pos, &a.claim, &a.slot);
    test_exec(worker, test_format(complete, a.slot, a.claim, a.pos, a.pos + 1999, 2));
    assert_int_equal(test_int(db, "SELECT count(*) FROM awa.jobs WHERE queue = 'next'"), 1000);
    test_exec(worker, test_format(complete, a.slot, a.claim, a.pos, a.pos + 1999, 1));
    assert_string_equal(test_rows(db, "SELECT count(*), count(DISTINCT args), sum(args::int) FROM"
                                      " awa.jobs WHERE queue = 'next'"),
                        "2000|2000|2001000");
}

static void
a_rule_is_checked_and_changed(void **state)
{
    PGconn *operator= test_connect(*state, "operator");

    test_exec(operator, "SELECT awa.set_follow_rule('r', 'failed', '{\"kind\": \"a\"}')");
    test_exec(operator, "SELECT awa.set_follow_rule('r', 'ended', '{\"kind\": \"b\"}', 'q', 'k')");
    assert_string_equal(test_rows(operator, "SELECT name, \"on\", queue, kind, job, created_by FROM"
                                            " awa.list_follow_rules()"),
                        "r|ended|q|k|{\"kind\": \"b\"}|test_operator");
    assert_string_equal(test_error(operator, "SELECT awa.set_follow_rule('', 'ended', '{}')"),
                        "JQ001 name: want 1 to 200 bytes, got 0");
    assert_string_equal(
        test_error(operator, "SELECT awa.set_follow_rule('r', 'x', '{}')"),
        "JQ001 on: want completed, failed, cancelled, ended, retried or rescued, got"
        " x");
    assert_string_equal(test_error(operator, "SELECT awa.set_follow_rule('r', 'ended', '{}')"),
                        "JQ001 kind: missing");
    assert_string_equal(
        test_error(operator, "SELECT awa.set_follow_rule('r', 'ended', '{\"kind\": \"b\"}', '')"),
        "JQ001 queue: want 1 to 200 bytes, got 0");
    assert_string_equal(test_error(operator, "SELECT awa.set_follow_rule('r', 'ended', '{\"kind\":"
                                             " \"b\"}', p_kind => repeat('k', 201))"),
                        "JQ001 kind: want 1 to 200 bytes, got 201");
    assert_string_equal(test_text(operator, "SELECT awa.remove_follow_rule('r')"), "t");
    assert_string_equal(test_text(operator, "SELECT awa.remove_follow_rule('r')"), "f");
}

/* ---- By the attempt ---------------------------------------------------------------------- */

static void
an_attempt_may_ask_for_jobs(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);
    struct attempt a[3];

    test_exec(db, "SELECT awa.insert_jobs('{a,b,c}')");
    assert_int_equal(test_claim(worker, 7, 3, a), 3);
    test_exec(worker, test_close_sql(&a[0], "snoozed",
                                     "p_follows => ARRAY['[{\"kind\": \"one\","
                                     " \"queue\": \"next\"}]']"));
    assert_string_equal(followed(db), "one");
    test_exec(worker, test_close_sql(&a[0], "completed",
                                     "p_follows => ARRAY['[{\"kind\": \"x\","
                                     " \"queue\": \"next\"}]']"));
    assert_string_equal(followed(db), "one");
    test_exec(worker, test_format("SELECT awa.complete_job(7, %" PRId64 ", %" PRId64
                                  ", p_follow => '[{\"kind\": \"two\", \"queue\": \"next\"}]')",
                                  a[1].claim, a[1].pos));
    assert_string_equal(followed(db), "one two");
    assert_string_equal(
        test_text(worker, test_close_sql(&a[2], "completed", "p_follows => ARRAY['[{}]']")),
        "!follow 0: kind: missing");
    assert_string_equal(test_state(db, a[2].id), "running");
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_DB(each_end_has_what_follows_from_it),
        TEST_DB(a_retried_job_has_followers_anew),
        TEST_DB(what_happens_to_a_job_that_has_ended_is_no_end),
        TEST_DB(a_follower_is_as_its_template_says),
        TEST_DB(a_door_refuses_what_cannot_follow),
        TEST_DB(nothing_follows_for_ever),
        TEST_DB(a_key_that_is_taken_is_written_down),
        TEST_DB(a_key_that_is_being_taken_waits_for_the_leader),
        TEST_DB(a_bad_undecided_job_does_not_stop_the_others),
        TEST_DB(a_template_that_is_no_job_is_written_down),
        TEST_DB(a_rule_counts_for_its_queue_and_kind),
        TEST_DB(many_follow_at_once),
        TEST_DB(a_rule_is_checked_and_changed),
        TEST_DB(an_attempt_may_ask_for_jobs),
    };

    return TEST_RUN(tests);
}
