/* SPDX-License-Identifier: MIT */
/* Handlers that complete their job inside their own transaction. */
#include "test_worker.h"

#include <inttypes.h>
#include <string.h>

/* What a handler does in its transaction, and how it then ends. */
struct effect {
    const char *sql;
    awa_outcome outcome;
    const char *output;
    struct hold *hold;   /* waits after its effect; NULL: it does not */
    atomic_int sessions; /* refused */
    int64_t delay_ms;    /* of a retry */
};

static awa_outcome
have_effect(awa_attempt *job, void *userdata)
{
    struct effect *e = userdata;
    PGconn *conn = NULL, *again = NULL;
    awa_error err;

    if (awa_attempt_transaction(job, &conn, &err) != AWA_OK ||
        awa_attempt_transaction(job, &again, &err) != AWA_OK || conn != again) {
        atomic_fetch_add(&e->sessions, 1);
        return AWA_FAIL;
    }
    PQclear(PQexec(conn, e->sql));
    if (e->output != NULL)
        awa__ignore(awa_attempt_set_output(job, e->output, strlen(e->output)));
    if (e->outcome == AWA_RETRY)
        awa_attempt_set_delay(job, e->delay_ms);
    if (e->hold != NULL)
        (void)test_hold(job, e->hold);
    return e->outcome;
}

#define EFFECT "INSERT INTO effects DEFAULT VALUES"

/* A table for effects, a job, and a worker that runs it. */
static awa_worker *
start_with(PGconn *db, struct effect *e, int threads)
{
    const awa_kind kind = { .handler = have_effect, .userdata = e };

    test_exec(db, "SET client_min_messages = warning;"
                  " CREATE TABLE IF NOT EXISTS effects (at timestamptz DEFAULT now());"
                  " GRANT INSERT ON effects TO test_worker");
    test_insert(db);
    return test_start(db, .kinds = &kind, .nkinds = 1, .threads = threads, .no_leader = 1);
}

#define ended(w)    (test_stats(w).completed + test_stats(w).failed + test_stats(w).stale)
#define effects(db) test_int(db, "SELECT count(*) FROM effects")

static void
effects_and_the_end_of_the_job_commit_together_or_not_at_all(void **state)
{
    static const struct {
        const char *name, *sql;
        awa_outcome outcome;
        const char *output;
        int effects;
        const char *want; /* state, attempt, output, part of the error */
    } cases[] = {
        { "complete", EFFECT, AWA_COMPLETE, NULL, 1, "completed|1||" },
        { "with output", EFFECT, AWA_COMPLETE, "[1]", 1, "completed|1|[1]|" },
        { "retry", EFFECT, AWA_RETRY, NULL, 0, "retryable|1||" },
        { "fail", EFFECT, AWA_FAIL, NULL, 0, "failed|1||" },
        { "cancel", EFFECT, AWA_CANCEL, NULL, 0, "cancelled|1||" },
        { "snooze", EFFECT, AWA_SNOOZE, NULL, 0, "scheduled|0||" },
        { "failed statement", EFFECT "; SELECT 1/0", AWA_COMPLETE, NULL, 0,
          "retryable|1||the handler's transaction failed" },
        { "ended by the handler", EFFECT "; COMMIT", AWA_COMPLETE, NULL, 1,
          "retryable|1||the handler's transaction failed" },
        { "deferred",
          "CREATE TEMP TABLE t (i int UNIQUE DEFERRABLE INITIALLY DEFERRED);"
          " INSERT INTO t VALUES (1), (1); " EFFECT,
          AWA_COMPLETE, NULL, 0, "retryable|1||commit: duplicate key" },
        { "session killed", EFFECT "; SELECT pg_terminate_backend(pg_backend_pid())", AWA_COMPLETE,
          NULL, 0, "retryable|1||the handler's transaction failed" },
    };
    PGconn *db = *state;
    int so_far = 0;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct effect e = { cases[i].sql, cases[i].outcome, cases[i].output, .delay_ms = 3600000 };
        awa_worker *w = start_with(db, &e, 1);
        const char *got;

        test_wait_for(ended(w) == 1, 10000);
        got = test_rows(db, test_format("SELECT state, attempt, output, substr(errors->0->>'error',"
                                        " 1, %zu) FROM awa.jobs ORDER BY id DESC LIMIT 1",
                                        strlen(strrchr(cases[i].want, '|') + 1)));
        if (strcmp(got, cases[i].want) != 0)
            fail_msg("%s: want %s, got %s", cases[i].name, cases[i].want, got);
        so_far += cases[i].effects;
        if (effects(db) != so_far)
            fail_msg("%s: want %d effects, got %" PRId64, cases[i].name, so_far, effects(db));
        assert_int_equal(test_stats(w).stale, 0);
        assert_int_equal(atomic_load(&e.sessions), 0);
        test_free_worker(w);
    }
}

static void
the_transaction_of_a_stale_attempt_aborts(void **state)
{
    PGconn *db = *state;
    struct effect e = { EFFECT, AWA_COMPLETE, NULL, test_hold_new() };
    awa_worker *w = start_with(db, &e, 1);
    awa_error err;

    test_wait_for(atomic_load(&e.hold->inside) == 1, 10000);
    test_ok(awa_job_cancel(db, 1, "not needed", &err), &err);
    test_hold_open(e.hold);
    test_wait_for(test_stats(w).stale == 1, 10000);
    assert_int_equal(effects(db), 0);
    assert_string_equal(test_rows(db, "SELECT state, errors->0->>'error' FROM awa.jobs"),
                        "cancelled|not needed");
    assert_int_equal(test_stats(w).completed, 0);

    /* and the session is good for the next one */
    test_insert(db);
    test_wait_for(test_stats(w).completed == 1, 10000);
    assert_int_equal(effects(db), 1);
}

/* The worker was given up for dead while its transaction was open; it runs the job once more. */
static void
a_rescued_attempt_has_no_effect_and_the_next_one_has(void **state)
{
    PGconn *db = *state, *leader = test_connect(db, "worker");
    struct effect e = { EFFECT, AWA_COMPLETE, NULL, test_hold_new() };
    awa_worker *w = start_with(db, &e, 2);

    test_wait_for(atomic_load(&e.hold->inside) == 1, 10000);
    /* not while a claim of its is in flight */
    test_wait_until(leader, "SELECT awa.rescue_jobs(now() + interval '1 h') = 1", 10000);
    test_wait_for(test_stats(w).stale == 1, 10000);
    assert_int_equal(atomic_load(&e.hold->cancelled), 1);
    assert_int_equal(effects(db), 0);
    test_wait_for(atomic_load(&e.hold->entered) == 2, 10000);
    test_hold_open(e.hold);
    test_wait_for(test_stats(w).completed == 1, 10000);
    assert_int_equal(effects(db), 1);
    assert_string_equal(test_rows(db, "SELECT state, attempt FROM awa.jobs"), "completed|2");
}

static void
a_session_that_died_while_idle_is_replaced(void **state)
{
    PGconn *db = *state;
    struct effect e = { EFFECT, AWA_COMPLETE };
    awa_worker *w = start_with(db, &e, 1);

    test_wait_for(test_stats(w).completed == 1, 10000);
    assert_int_equal(test_int(db, "SELECT count(pg_terminate_backend(pid, 5000)) FROM"
                                  " pg_stat_activity WHERE datname = current_database() AND query"
                                  " = 'COMMIT'"),
                     1);
    test_insert(db);
    test_wait_for(ended(w) == 2, 10000);
    assert_int_equal(test_count(db, "completed"), 2);
    assert_int_equal(effects(db), 2);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_WORKER(effects_and_the_end_of_the_job_commit_together_or_not_at_all),
        TEST_WORKER(the_transaction_of_a_stale_attempt_aborts),
        TEST_WORKER(a_rescued_attempt_has_no_effect_and_the_next_one_has),
        TEST_WORKER(a_session_that_died_while_idle_is_replaced),
    };

    return TEST_RUN(tests);
}
