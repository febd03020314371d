/* SPDX-License-Identifier: MIT */
/* Leadership: one at a time, whose terms rise, and who is told what is due. */
#include "test_jobs.h"

#include <inttypes.h>
#include <string.h>

#define LEAD(worker) "SELECT term FROM awa.lead(" #worker ")"

/* The leader's lease ends now. */
static void
end_lease(PGconn *db)
{
    test_exec(db, "SELECT setval('awa.leader_until', awa.to_ms(clock_timestamp()) - 1)");
}

/* The session of worker 7, which knows the secret of worker 8, too. */
static PGconn *
two_workers(PGconn *db)
{
    PGconn *worker = test_worker(db, 7);

    test_worker(db, 8);
    return worker;
}

static void
one_worker_leads_and_terms_rise(void **state)
{
    PGconn *db = *state;
    PGconn *first = test_worker(db, 7), *second = test_worker(db, 8);

    assert_int_equal(test_int(first, LEAD(7)), 1);
    assert_null(test_text(second, LEAD(8)));
    assert_int_equal(test_int(first, LEAD(7)), 1);
    end_lease(db);
    assert_int_equal(test_int(second, LEAD(8)), 2);
    assert_null(test_text(first, LEAD(7))); /* it slept through its term, and is told */
    end_lease(db);
    assert_int_equal(test_int(second, LEAD(8)), 2); /* nobody came in between */
    end_lease(db);
    assert_int_equal(test_int(first, LEAD(7)), 3);
    assert_string_equal(test_rows(db, "SELECT term, worker_id FROM awa.leaders ORDER BY 1"),
                        "1|7 2|8 3|7");
}

/* Whoever leads can be found among the workers; and it has to say who it is by its secret. */
static void
only_a_worker_leads(void **state)
{
    PGconn *db = *state;
    PGconn *stranger = test_connect(db, "worker"), *worker = test_connect(db, "worker");

    assert_null(test_text(stranger, LEAD(7)));
    assert_int_equal(test_int(worker, "SELECT awa.register_worker(1234567, 'w', '{default}')"), 7);
    assert_null(test_text(stranger, LEAD(7)));
    assert_int_equal(test_int(worker, LEAD(1234567)), 1);
    assert_null(test_text(stranger, "SELECT term FROM awa.lead(7, p_resign => true)"));
    assert_int_equal(test_int(worker, LEAD(1234567)), 1);
    assert_string_equal(test_rows(db, "SELECT term, worker_id FROM awa.leaders"), "1|7");
}

static void
a_leader_that_resigns_is_followed_at_once(void **state)
{
    PGconn *db = *state;
    PGconn *worker = two_workers(db);

    assert_int_equal(test_int(worker, LEAD(7)), 1);
    assert_null(test_text(worker, "SELECT term FROM awa.lead(8, p_resign => true)"));
    assert_null(test_text(worker, LEAD(8))); /* only the leader can resign */
    assert_null(test_text(worker, "SELECT term FROM awa.lead(7, p_resign => true)"));
    assert_int_equal(test_int(worker, LEAD(8)), 2);
}

static void
two_candidates_at_once_do_not_both_win(void **state)
{
    PGconn *db = *state;
    PGconn *first = test_worker(db, 7), *second = test_worker(db, 8);

    test_exec(first, "BEGIN");
    assert_int_equal(test_int(first, LEAD(7)), 1);
    assert_null(test_text(second, LEAD(8))); /* and it does not wait */
    test_exec(first, "COMMIT");
    assert_null(test_text(second, LEAD(8)));
}

static void
a_clock_that_was_set_back_does_not_lock_everybody_out(void **state)
{
    PGconn *db = *state;
    PGconn *worker = two_workers(db);

    assert_int_equal(test_int(worker, LEAD(7)), 1);
    test_exec(db, "SELECT setval('awa.leader_until', awa.to_ms(clock_timestamp() + interval"
                  " '1 year'))");
    assert_int_equal(test_int(worker, LEAD(8)), 2);
}

static const char *
tasks(PGconn *worker)
{
    return test_text(worker, "SELECT tasks FROM awa.lead(7)");
}

static void
a_leader_is_told_what_is_due(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);

    assert_string_equal(tasks(worker), "{}");
    test_exec(db, "SELECT awa.insert_job('k', p_delay => '1 h')");
    assert_string_equal(tasks(worker), "{}");
    test_exec(db, "UPDATE awa.deferred_jobs SET run_at = now() - interval '1 s'");
    assert_string_equal(tasks(worker), "{promote}");
    assert_string_equal(test_text(worker, "SELECT tasks FROM awa.lead(7, clock_timestamp())"),
                        "{}");
    test_silence(db, 7, 16);
    assert_string_equal(tasks(worker), "{promote,rescue}");
    test_exec(worker, "SELECT awa.heartbeat('{7}')");
    test_exec(worker, "SELECT awa.register_worker(8, 'w8', '{default}')");
    test_exec(worker, "SELECT awa.deregister_worker(8)");
    assert_string_equal(tasks(worker), "{promote,rescue}");
    test_exec(worker, "SELECT awa.rescue_jobs(), awa.promote_jobs()");
    assert_string_equal(tasks(worker), "{}");
    test_claim_one(worker, 7);
    test_exec(db, "UPDATE awa.claims SET deadline_at = now() - interval '1 min'");
    assert_string_equal(tasks(worker), "{expire}");
    assert_string_equal(
        test_text(worker, "SELECT tasks FROM awa.lead(7, p_expire_from => clock_timestamp())"),
        "{}");
    test_exec(db, "UPDATE awa.claims SET deadline_at = NULL");
    test_exec(db, "INSERT INTO awa.lane_gaps (lane_id, gaps, owners) VALUES (1, '{}', '{3}')");
    assert_string_equal(tasks(worker), "{sweep}");
}

static void
a_leader_sleeps_until_something_is_due(void **state)
{
    static const struct {
        const char *when;
        int low, high;
    } cases[] = {
        { "1 h", 2000, 4000 }, /* its lease does not wait that long */
        { "1 s", 600, 1000 },
        { "100 ms", 50, 100 },
        { "-1 s", 50, 250 },
    };
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);
    int64_t wait;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        test_exec(db,
                  test_format("DELETE FROM awa.deferred_jobs; SELECT awa.insert_job('k', p_delay"
                              " => '1 min'); UPDATE awa.deferred_jobs SET run_at ="
                              " clock_timestamp() + interval '%s'",
                              cases[i].when));
        wait = test_int(worker, "SELECT wait_ms FROM awa.lead(7)");
        if (wait < cases[i].low || wait > cases[i].high)
            fail_msg("%s: %" PRId64 " ms", cases[i].when, wait);
    }
    wait = test_int(worker, "SELECT wait_ms FROM awa.lead(8)");
    assert_true(wait > 0 && wait < 5000); /* until the term ends */
}

/* It has read the clock, and slept before it asked; meanwhile the leader has renewed its term. */
static void
a_term_that_was_renewed_just_now_is_not_a_wrong_clock(void **state)
{
    PGconn *db = *state;
    PGconn *leader = test_worker(db, 7), *sleeper = test_worker(db, 8);

    test_exec(leader, "SELECT awa.lead(7)");
    end_lease(db);
    test_gate(db, "lead", "IF NOT awa.try_lock('leadership')");
    test_gate_shut(db);
    test_send(sleeper, "SELECT coalesce(term, 0) FROM awa.lead(8)");
    test_wait_at_gate(db, sleeper);
    test_ungate(db, "lead");
    test_exec(leader, "SELECT awa.lead(7)");
    test_gate_open(db);
    assert_string_equal(test_answer(sleeper), "0");
}

/* Was the leader notified, which has slept on this session? */
static bool
was_woken(PGconn *leader)
{
    PGnotify *n;
    bool woken;

    test_exec(leader, "SELECT 1");
    n = PQnotifies(leader);
    woken = n != NULL && strcmp(n->relname, "awa.lead") == 0;
    PQfreemem(n);
    return woken;
}

static void
a_sleeping_leader_is_woken_for_what_is_due_sooner(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *other = test_worker(db, 8);

    test_exec(worker, "LISTEN \"awa.lead\"");
    test_exec(worker, "SELECT awa.lead(7)");
    test_exec(db, "SELECT awa.insert_job('k', p_delay => '1 h')");
    assert_false(was_woken(worker));
    test_exec(db, "SELECT awa.insert_job('k', p_delay => '500 ms')");
    assert_true(was_woken(worker));
    test_exec(other, "SELECT awa.deregister_worker(8)");
    assert_true(was_woken(worker));
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_DB(one_worker_leads_and_terms_rise),
        TEST_DB(only_a_worker_leads),
        TEST_DB(a_leader_that_resigns_is_followed_at_once),
        TEST_DB(two_candidates_at_once_do_not_both_win),
        TEST_DB(a_clock_that_was_set_back_does_not_lock_everybody_out),
        TEST_DB(a_leader_is_told_what_is_due),
        TEST_DB(a_leader_sleeps_until_something_is_due),
        TEST_DB(a_term_that_was_renewed_just_now_is_not_a_wrong_clock),
        TEST_DB(a_sleeping_leader_is_woken_for_what_is_due_sooner),
    };

    return TEST_RUN(tests);
}
