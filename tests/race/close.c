/* SPDX-License-Identifier: MIT */
/* Several want to end one attempt: exactly one of them does. */
#include "test_jobs.h"
#include "verbs.h"

#include <inttypes.h>
#include <string.h>

/* ---- Two at once ------------------------------------------------------------------------- */

/* Whoever may end an attempt. */
static const struct ender {
    const char *verb;
    bool yields; /* does not wait for the other one, but comes back later */
} enders[] = {
    { "close", false },        { "complete", false },      { "close_completed", false },
    { "close_failed", false }, { "close_retried", false }, { "close_postponed", false },
    { "cancel", false },       { "rescue", true },         { "expire", true },
};
enum { ENDERS = sizeof enders / sizeof enders[0] };

/* What becomes of a running job. */
static struct model_job
left_by(const struct verb *v)
{
    struct model_job job = { .state = MODEL_RUNNING, .attempt = 1, .max_attempts = 25 };

    verb_apply(v, &job, 0, false);
    return job;
}

/* A worker whose rescue is due in a minute, and a job that it runs. */
static struct attempt
running(PGconn *db, PGconn *worker, int64_t number)
{
    test_insert(db);
    test_number(db, number);
    test_exec(worker, test_format("SELECT awa.register_worker(%" PRId64
                                  ", 'w', '{default}', p_session => false)",
                                  number));
    return test_claim_one(worker, number);
}

static void
tidy(PGconn *db, int64_t number)
{
    test_exec(db, test_format("DELETE FROM awa.workers WHERE worker_id = %" PRId64, number));
    test_exec(db, "SELECT awa.drain_queue('default')");
}

/* What `second` says while `first` has not committed, and after it did. */
static void
check_pair(PGconn *db, PGconn *const *sessions, const struct ender *first,
           const struct ender *second, const char *end, int64_t number)
{
    const struct verb *verb = verb_named(first->verb), *other = verb_named(second->verb);
    struct model_job left = left_by(verb), left_by_other = left_by(other);
    struct attempt a = running(db, sessions[2], number);
    /* an operator cancels the job in whatever state the other one leaves it, but an ended one */
    bool second_wins = strcmp(end, "ROLLBACK") == 0 || MODEL_IS(&left, other->from);
    PGconn *one = sessions[verb->role[0] == 'o'], *two = sessions[2 + (other->role[0] == 'o')];
    const char *name = test_format("%s\nbefore %s, %s", test_attempt_sql(verb->sql, &a),
                                   test_attempt_sql(other->sql, &a), end);
    PGresult *res;
    const char *answer;

    test_exec(one, "BEGIN");
    assert_string_equal(test_rows(one, test_attempt_sql(verb->sql, &a)), verb_answer(verb, &left));
    test_send(two, test_attempt_sql(other->sql, &a));
    if (!second->yields)
        test_wait_blocked(db, two);
    else
        assert_string_equal(test_answer(two), "0");
    test_exec(one, end);
    if (second->yields)
        test_send(two, test_attempt_sql(other->sql, &a));
    res = PQgetResult(two);
    answer = PQresultStatus(res) == PGRES_TUPLES_OK
                 ? test_format("%s", PQgetvalue(res, 0, 0))
                 : test_format("%s", PQresultErrorField(res, PG_DIAG_SQLSTATE));
    PQclear(res);
    while ((res = PQgetResult(two)) != NULL)
        PQclear(res);

    if ((strcmp(answer, verb_answer(other, &left_by_other)) == 0) != second_wins ||
        strcmp(test_state(db, a.id),
               model_states[second_wins ? left_by_other.state : left.state]) != 0)
        fail_msg("%s\nthe second says %s, and the job is %s", name, answer, test_state(db, a.id));
    tidy(db, number);
}

static void
exactly_one_of_two_ends_an_attempt(void **state)
{
    PGconn *db = *state;
    PGconn *sessions[] = { test_connect(db, "worker"), test_connect(db, "operator"),
                           test_connect(db, "worker"), test_connect(db, "operator") };
    int64_t number = 1000;

    test_lane(db, 2);
    for (int first = 0; first < ENDERS; first++)
        for (int second = 0; second < ENDERS; second++)
            if (!enders[first].yields)
                check_pair(db, sessions, &enders[first], &enders[second],
                           (first + second) % 2 == 0 ? "COMMIT" : "ROLLBACK", number++);
    for (int first = 0; first < ENDERS; first++) {
        check_pair(db, sessions, &enders[first], &enders[0], "COMMIT", number++);
        check_pair(db, sessions, &enders[first], &enders[6], "COMMIT", number++);
        check_pair(db, sessions, &enders[first], &enders[3], "ROLLBACK", number++);
    }
}

/* ---- Rescue ------------------------------------------------------------------------------ */

static void
a_rescue_leaves_a_commit_in_progress_alone_and_comes_back(void **state)
{
    static const struct {
        const char *end, *want;
    } cases[] = { { "COMMIT", "completed" }, { "ROLLBACK", "available" } };
    PGconn *db = *state;
    PGconn *handler = test_connect(db, "worker"), *leader = test_connect(db, "worker");
    static const char empty[] = "SELECT empty FROM awa.workers WHERE worker_id = 7";

    for (size_t i = 0; i < 2; i++) {
        struct attempt a[3];

        test_number(db, 7);
        test_exec(leader, "SELECT awa.register_worker(7, 'w', '{default}', p_session => false)");
        test_exec(db, "SELECT awa.insert_jobs('{a,b,c}')");
        assert_int_equal(test_claim(leader, 7, 16, a), 3);
        test_exec(handler, "BEGIN");
        test_exec(handler, test_format("SELECT awa.complete_job(7, %" PRId64 ", %" PRId64 ")",
                                       a[1].claim, a[1].pos));
        test_exec(leader, "SELECT awa.deregister_worker(7)");
        assert_int_equal(test_int(leader, "SELECT awa.rescue_jobs()"), 2);
        assert_int_equal(test_int(leader, "SELECT awa.rescue_jobs()"), 0);
        assert_string_equal(test_text(db, empty), "f");
        test_exec(handler, cases[i].end);
        assert_int_equal(test_int(leader, "SELECT awa.rescue_jobs()"), i);
        assert_string_equal(test_text(db, empty), "t");
        assert_string_equal(test_state(db, a[0].id), "available");
        assert_string_equal(test_state(db, a[1].id), cases[i].want);
        assert_string_equal(test_state(db, a[2].id), "available");
        test_exec(db, "DELETE FROM awa.workers; SELECT awa.drain_queue('default')");
    }
}

static void
other_jobs_of_a_claim_end_while_one_is_committing(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *handler = test_connect(db, "worker");
    struct attempt a[3];

    test_exec(db, "SELECT awa.insert_jobs('{a,b,c}')");
    assert_int_equal(test_claim(worker, 7, 3, a), 3);
    test_exec(handler, "BEGIN");
    test_exec(handler, test_format("SELECT awa.complete_job(7, %" PRId64 ", %" PRId64 ")",
                                   a[1].claim, a[1].pos));
    test_exec(worker, "SET lock_timeout = '5 s'");
    assert_string_equal(test_close(worker, &a[0], "failed"), "failed");
    assert_string_not_equal(test_text(worker, test_complete_sql(&a[2])), "{}");
    test_exec(handler, "COMMIT");
    assert_string_equal(test_state(db, a[1].id), "completed");
}

/* What takes from worker 7 all that it holds. */
static const char rescue_7[] = "SELECT awa.rescue_jobs(clock_timestamp() + interval '1 min')";
static const char reconcile_7[] = "SELECT coalesce(awa.reconcile_worker(7, '{}')::text, 'again')";

/* A claim that is on its way when its worker is given up for dead, or has lost the answer to it. */
static void
claim_first(PGconn *db, const char *take, const char *too_early)
{
    PGconn *worker = test_worker(db, 7), *other = test_connect(db, "worker");

    test_insert(db);
    test_exec(worker, "BEGIN");
    test_claim_one(worker, 7);
    assert_string_equal(test_text(other, take), too_early);
    test_exec(worker, "COMMIT");
    assert_string_equal(test_text(other, take), "1");
}

static void
a_rescue_waits_for_a_claim_in_flight(void **state)
{
    claim_first(*state, rescue_7, "0");
}

static void
a_reconciliation_waits_for_a_claim_in_flight(void **state)
{
    claim_first(*state, reconcile_7, "again");
}

/* The other way round: a claim that comes meanwhile. It does not wait. */
static void
claim_second(PGconn *db, const char *take)
{
    PGconn *worker = test_worker(db, 7), *other = test_connect(db, "worker");

    test_insert(db);
    test_claim_one(worker, 7);
    test_insert(db);
    test_exec(other, "BEGIN");
    assert_string_equal(test_text(other, take), "1");
    test_expect_error(worker, "JQ003", "SELECT awa.claim_jobs(7, 'default', 1)");
    test_exec(other, "COMMIT");
    test_expect_error(worker, "JQ003", "SELECT awa.claim_jobs(7, 'default', 1)");
    assert_int_equal(test_count(db, "available"), 2);
}

static void
a_claim_that_comes_during_the_rescue_is_refused(void **state)
{
    claim_second(*state, rescue_7);
}

static void
a_claim_that_comes_during_the_reconciliation_is_refused(void **state)
{
    claim_second(*state, reconcile_7);
}

/* ---- Carry forward ----------------------------------------------------------------------- */

static void
leave_slot(PGconn *db, PGconn *worker)
{
    int64_t slot = test_int(db, "SELECT awa.current_slot()");

    test_exec(db, "SELECT awa.rotate_ring(true)");
    test_exec(worker, test_format("SELECT awa.checkpoint_heads(%" PRId64 "::smallint)", slot));
}

static const char *
carry(const struct attempt *a)
{
    return test_format("SELECT awa.carry_forward(%d::smallint)", a->slot);
}

static void
whoever_ends_an_attempt_finds_it_where_it_was_carried(void **state)
{
    static const char *const ends[] = { "COMMIT", "ROLLBACK" };
    PGconn *db = *state;
    PGconn *leader = test_connect(db, "worker");
    int lost = 0;

    test_lane(db, 2);
    for (int e = 0; e < 2 * ENDERS; e++) {
        const struct verb *v = verb_named(enders[e / 2].verb);
        PGconn *session = test_connect(db, v->role);
        struct model_job left = left_by(v);
        struct attempt a = running(db, leader, 1000 + e);
        PGresult *res;

        leave_slot(db, leader);
        test_exec(leader, "BEGIN");
        /* in a month nobody wants to retry what failed in an earlier round */
        assert_string_equal(
            test_text(leader, test_format("SELECT awa.carry_forward(%d::smallint, p_now =>"
                                          " clock_timestamp() + interval '1 month')",
                                          a.slot)),
            "1");
        test_send(session, test_attempt_sql(v->sql, &a));
        if (enders[e / 2].yields)
            test_answer(session);
        else
            test_wait_blocked(db, session);
        test_exec(leader, ends[e % 2]);
        if (enders[e / 2].yields)
            test_send(session, test_attempt_sql(v->sql, &a));
        res = PQgetResult(session);
        if (PQresultStatus(res) != PGRES_TUPLES_OK ||
            strcmp(PQgetvalue(res, 0, 0), verb_answer(v, &left)) != 0 ||
            strcmp(test_state(db, a.id), model_states[left.state]) != 0) {
            print_error("%s\nafter a carry and %s: %s, and the job is %s\n",
                        test_attempt_sql(v->sql, &a), ends[e % 2],
                        PQresultStatus(res) == PGRES_TUPLES_OK ? PQgetvalue(res, 0, 0)
                                                               : PQresultErrorMessage(res),
                        test_state(db, a.id));
            lost++;
        }
        PQclear(res);
        while ((res = PQgetResult(session)) != NULL)
            PQclear(res);
        tidy(db, 1000 + e);
        test_exec(leader, carry(&a));
        assert_string_equal(
            test_text(leader, test_format("SELECT awa.prune_slot(%d::smallint,"
                                          " clock_timestamp() + interval '1 month')",
                                          a.slot)),
            "pruned");
    }
    assert_int_equal(lost, 0);
}

static void
a_carry_passes_over_what_is_just_ending(void **state)
{
    PGconn *db = *state;
    PGconn *leader = test_worker(db, 7), *handler = test_connect(db, "worker");
    struct attempt a[3], other;

    test_lane(db, 1);
    test_exec(db, "SELECT awa.insert_jobs('{a,b,c}')");
    assert_int_equal(test_claim(leader, 7, 3, a), 3);
    test_exec(db, "SELECT awa.insert_job('k', p_priority => 1)");
    other = test_claim_one(leader, 7);
    leave_slot(db, leader);
    test_exec(handler, "BEGIN");
    test_exec(handler, test_format("SELECT awa.complete_job(7, %" PRId64 ", %" PRId64 ")",
                                   a[1].claim, a[1].pos));
    assert_true(test_int(leader, carry(&a[0])) >= 1); /* the other lane, at least */
    test_exec(handler, "COMMIT");
    test_exec(leader, carry(&a[0]));
    assert_string_equal(test_state(db, a[1].id), "completed");
    assert_string_equal(test_text(leader, "SELECT awa.prune_slot(0::smallint)"), "pruned");
    assert_string_equal(test_close(leader, &a[0], "failed"), "failed");
    assert_string_equal(test_close(leader, &a[2], "completed"), "completed");
    assert_string_equal(test_close(leader, &other, "completed"), "completed");
}

/*
 * The carry has found the job waiting. Before it gets the lane's lock, an operator cancels the
 * job: it must not rise again in the new slot.
 */
static void
a_job_that_is_cancelled_during_a_carry_stays_cancelled(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *leader = test_connect(db, "worker");
    PGconn *operator= test_connect(db, "operator");
    int64_t id = test_insert(db);

    test_gate(db, "carry_forward", "FOR v_lane IN");
    leave_slot(db, worker);
    test_gate_shut(db);
    test_send(leader, "SELECT awa.carry_forward(0::smallint)");
    test_wait_at_gate(db, leader);
    assert_string_equal(test_text(operator, test_format("SELECT awa.cancel_job(%" PRId64 ")", id)),
                        "t");
    test_gate_open(db);
    test_answer(leader);
    assert_string_equal(test_state(db, id), "cancelled");
    assert_string_equal(test_claim_ids(worker, 7, 10), "");
}

/* The same with a claim, and with a completion, in between. */
static void
a_job_that_is_claimed_during_a_carry_runs_once(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *leader = test_connect(db, "worker");
    struct attempt a, b;

    test_insert(db);
    test_insert(db);
    test_gate(db, "carry_forward", "FOR v_lane IN");
    leave_slot(db, worker);
    test_gate_shut(db);
    test_send(leader, "SELECT awa.carry_forward(0::smallint)");
    test_wait_at_gate(db, leader);
    assert_int_equal(test_claim(worker, 7, 1, &a), 1);
    assert_int_equal(test_claim(worker, 7, 1, &b), 1);
    test_exec(worker, test_complete_sql(&b));
    test_gate_open(db);
    assert_string_equal(test_answer(leader), "1");
    assert_string_equal(test_claim_ids(worker, 7, 10), "");
    assert_string_equal(test_state(db, a.id), "running");
    assert_string_equal(test_state(db, b.id), "completed");
    assert_string_not_equal(test_text(worker, test_complete_sql(&a)), "{}");
}

/* Two leaders: one of them slept through its term. */
/* It was carried once; the worker has looked where, and before it closes it there, it is carried
 * on. */
static void
whoever_ends_an_attempt_follows_it_from_slot_to_slot(void **state)
{
    static const struct {
        const char *function, *before, *verb;
    } ways[] = {
        { "complete_carried", "v_closed := awa.add_closure", "close" },
        { "close_batch", "v_carried := awa.closings", "close_completed" },
        { "complete_job", "v_done := NOT isempty(awa.add_closure", "complete" },
    };
    PGconn *db = *state;
    PGconn *leader = test_connect(db, "worker");

    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        const struct verb *v = verb_named(ways[i].verb);
        struct model_job left = left_by(v);
        PGconn *worker = test_worker(db, 10 + (int64_t)i);
        struct attempt a;
        int64_t slot;

        test_insert(db);
        a = test_claim_one(worker, 10 + (int64_t)i);
        leave_slot(db, leader);
        assert_string_equal(test_text(leader, carry(&a)), "1");
        test_gate(db, ways[i].function, ways[i].before);
        test_gate_shut(db);
        test_send(worker, test_attempt_sql(v->sql, &a));
        test_wait_at_gate(db, worker);
        slot = test_int(db, "SELECT awa.current_slot()");
        leave_slot(db, leader);
        assert_string_equal(
            test_text(leader, test_format("SELECT awa.carry_forward(%" PRId64 "::smallint)", slot)),
            "1");
        test_gate_open(db);
        assert_string_equal(test_answer(worker), verb_answer(v, &left));
        assert_string_equal(test_state(db, a.id), "completed");
        test_ungate(db, ways[i].function);
    }
}

/* A job that is carried is seen in the one slot or in the other, or its worker would pass for
 * empty. */
static void
what_a_worker_holds_is_never_out_of_sight(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *leader = test_connect(db, "worker");
    int64_t looks = 0;

    test_insert(db);
    test_claim_one(worker, 7);
    for (int i = 0; i < 100; i++) {
        int64_t slot = test_int(db, "SELECT awa.current_slot()");

        leave_slot(db, leader);
        test_send(leader, test_format("SELECT awa.carry_forward(%" PRId64 "::smallint)", slot));
        do {
            assert_int_equal(test_int(db, "SELECT count(*) FROM awa.open_positions(7)"), 1);
            looks++;
            assert_true(PQconsumeInput(leader));
        } while (PQisBusy(leader));
        assert_string_equal(test_answer(leader), "1");
        test_exec(leader, test_format("SELECT awa.prune_slot(%" PRId64 "::smallint)", slot));
    }
    assert_true(looks >= 100);
}

static void
two_carries_at_once_carry_a_job_once(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *zombie = test_connect(db, "worker");
    int64_t id = test_insert(db);

    test_gate(db, "carry_forward", "FOR v_lane IN");
    leave_slot(db, worker);
    test_gate_shut(db);
    test_send(zombie, "SELECT awa.carry_forward(0::smallint)");
    test_wait_at_gate(db, zombie);
    test_ungate(db, "carry_forward");
    assert_string_equal(test_text(worker, "SELECT awa.carry_forward(0::smallint)"), "1");
    test_gate_open(db);
    test_answer(zombie);
    assert_string_equal(test_state(db, id), "available");
    assert_int_equal(test_claim_one(worker, 7).id, id);
    assert_string_equal(test_claim_ids(worker, 7, 10), "");
}

static void
a_failed_job_is_retried_or_carried_and_never_lost(void **state)
{
    static const char *const ends[] = { "COMMIT", "ROLLBACK" };
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *leader = test_connect(db, "worker");
    PGconn *operator= test_connect(db, "operator");

    for (int i = 0; i < 2; i++) {
        const char *retry;
        struct attempt a;

        test_insert(db);
        a = test_claim_one(worker, 7);
        test_close(worker, &a, "failed");
        retry = test_format("SELECT awa.retry_job(%" PRId64 ")", a.id);
        leave_slot(db, leader);
        test_exec(leader, "BEGIN");
        assert_string_equal(test_text(leader, carry(&a)), "1");
        test_send(operator, retry);
        test_wait_blocked(db, operator);
        test_exec(leader, ends[i]);
        assert_string_equal(test_answer(operator), "t");
        assert_string_equal(test_state(db, a.id), "available");
        a = test_claim_one(worker, 7);
        test_close(worker, &a, "completed");
    }
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_DB(exactly_one_of_two_ends_an_attempt),
        TEST_DB(a_rescue_leaves_a_commit_in_progress_alone_and_comes_back),
        TEST_DB(other_jobs_of_a_claim_end_while_one_is_committing),
        TEST_DB(a_rescue_waits_for_a_claim_in_flight),
        TEST_DB(a_reconciliation_waits_for_a_claim_in_flight),
        TEST_DB(a_claim_that_comes_during_the_rescue_is_refused),
        TEST_DB(a_claim_that_comes_during_the_reconciliation_is_refused),
        TEST_DB(whoever_ends_an_attempt_finds_it_where_it_was_carried),
        TEST_DB(a_carry_passes_over_what_is_just_ending),
        TEST_DB(a_job_that_is_cancelled_during_a_carry_stays_cancelled),
        TEST_DB(a_job_that_is_claimed_during_a_carry_runs_once),
        TEST_DB(whoever_ends_an_attempt_follows_it_from_slot_to_slot),
        TEST_DB(what_a_worker_holds_is_never_out_of_sight),
        TEST_DB(two_carries_at_once_carry_a_job_once),
        TEST_DB(a_failed_job_is_retried_or_carried_and_never_lost),
    };

    return TEST_RUN(tests);
}
