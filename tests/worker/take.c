/* SPDX-License-Identifier: MIT */
/* The pull door: attempts that the program takes and ends itself. */
#include "test_worker.h"

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>

#define start_pulled(db, ...) test_start(db, .no_leader = 1, .poll_ms = 100, __VA_ARGS__)

/* The next attempt, which must come. */
static awa_attempt *
take(awa_worker *w)
{
    awa_attempt *a = NULL;
    awa_error err;

    if (awa_worker_take(w, 10000, &a, &err) != AWA_OK)
        fail_msg("%s", err.message);
    assert_non_null(a);
    return a;
}

static bool
is_readable(awa_worker *w, int timeout_ms)
{
    struct pollfd fd = { .fd = awa_worker_fd(w), .events = POLLIN };

    return poll(&fd, 1, timeout_ms) == 1;
}

static void
what_is_taken_runs_until_its_end_is_said(void **state)
{
    PGconn *db = *state;
    awa_worker *w = start_pulled(db, .threads = 4);
    int64_t id = test_insert(db);
    awa_attempt *a = take(w);

    assert_int_equal(awa_attempt_id(a), id);
    assert_string_equal(awa_attempt_kind(a), "k");
    assert_int_equal(awa_attempt_number(a), 1);
    assert_string_equal(test_state(db, id), "running");
    assert_int_equal(test_stats(w).running, 1);
    awa_attempt_end(&a, AWA_COMPLETE);
    assert_null(a);
    test_wait_for(test_stats(w).completed == 1, 10000);
    assert_string_equal(test_state(db, id), "completed");
}

static void
a_take_waits_as_long_as_it_is_told(void **state)
{
    awa_worker *w = start_pulled(*state, .threads = 1);
    awa_attempt *a = (awa_attempt *)w;
    int64_t began = now_ms();
    awa_error err;

    assert_int_equal(awa_worker_take(w, 0, &a, &err), AWA_OK);
    assert_null(a);
    assert_true(now_ms() - began < 1000);
    began = now_ms();
    assert_int_equal(awa_worker_take(w, 300, &a, &err), AWA_OK);
    assert_null(a);
    assert_true(now_ms() - began >= 299);
}

static void
a_worker_that_drains_hands_out_no_more(void **state)
{
    awa_worker *w = start_pulled(*state, .threads = 1);
    awa_attempt *a;
    awa_error err;

    awa_worker_drain(w);
    assert_int_equal(awa_worker_take(w, -1, &a, &err), AWA_ENOTFOUND);
    assert_null(a);
    assert_true(is_readable(w, 0));
}

static void *
end_it(void *attempt)
{
    awa_attempt *a = attempt;

    awa_attempt_end(&a, AWA_COMPLETE);
    return NULL;
}

static void
any_thread_may_say_the_end(void **state)
{
    PGconn *db = *state;
    awa_worker *w = start_pulled(db, .threads = 1);
    int64_t id = test_insert(db);
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, end_it, take(w)), 0);
    pthread_join(thread, NULL);
    test_wait_for(test_stats(w).completed == 1, 10000);
    assert_string_equal(test_state(db, id), "completed");
}

static void
many_are_taken_and_ended_at_once(void **state)
{
    PGconn *db = *state;
    awa_worker *w = start_pulled(db, .threads = 4, .prefetch = 100);
    awa_attempt *attempts[100];
    awa_outcome outcomes[100] = { AWA_COMPLETE };
    int ended = 0;
    size_t n;

    for (int i = 0; i < 60; i++)
        (void)test_insert(db);
    while (ended < 60) {
        assert_int_equal(awa_worker_take_many(w, 10000, attempts, 100, &n, NULL), AWA_OK);
        assert_true(n > 0);
        awa_attempts_end(attempts, outcomes, n);
        assert_null(attempts[0]);
        ended += (int)n;
    }
    test_wait_for(test_stats(w).completed == 60, 10000);
}

static void
the_descriptor_is_readable_while_something_is_to_do(void **state)
{
    PGconn *db = *state;
    awa_worker *w = start_pulled(db, .threads = 1);
    int64_t id;
    awa_attempt *a;

    assert_false(is_readable(w, 100));
    id = test_insert(db);
    assert_true(is_readable(w, 10000));
    a = take(w);
    assert_false(is_readable(w, 0));
    assert_null(awa_worker_next_cancelled(w));

    test_exec(db, test_format("SELECT awa.cancel_job(%" PRId64 ")", id));
    assert_true(is_readable(w, 10000));
    assert_ptr_equal(awa_worker_next_cancelled(w), a);
    assert_int_equal(awa_attempt_cancelled(a), AWA_CANCEL_LOST);
    assert_false(is_readable(w, 0));
    assert_null(awa_worker_next_cancelled(w));
    awa_attempt_end(&a, AWA_RETRY);
    test_wait_for(test_stats(w).stale == 1, 10000);
}

/* One that should end, and ends before the program asks which. */
static void
an_attempt_that_has_ended_is_not_named_as_cancelled(void **state)
{
    PGconn *db = *state;
    awa_worker *w = start_pulled(db, .threads = 3);
    int64_t ids[3];
    awa_attempt *a[3];

    assert_false(is_readable(w, 0));
    for (int i = 0; i < 3; i++)
        ids[i] = test_insert(db);
    for (int i = 0; i < 3; i++)
        a[i] = take(w);
    for (int i = 0; i < 3; i++)
        test_exec(db, test_format("SELECT awa.cancel_job(%" PRId64 ")", ids[i]));
    for (int i = 0; i < 3; i++)
        test_wait_for(awa_attempt_cancelled(a[i]) != AWA_GO_ON, 10000);
    awa_attempt_end(&a[1], AWA_RETRY);
    assert_non_null(awa_worker_next_cancelled(w));
    assert_non_null(awa_worker_next_cancelled(w));
    assert_null(awa_worker_next_cancelled(w));
    awa_attempt_end(&a[0], AWA_RETRY);
    awa_attempt_end(&a[2], AWA_RETRY);
}

/* Completed by SQL in a transaction of the program's own, which commits or does not. */
static void
settle(PGconn *db, const awa_attempt *a, const char *how)
{
    test_exec(db, test_format("BEGIN; SELECT awa.complete_job(%" PRId64 ", %" PRId64 ", %" PRId64
                              ", '{\"sum\": 3}'); %s",
                              awa_attempt_worker(a), awa_attempt_run_lease(a),
                              awa_attempt_position(a), how));
}

static void
what_was_settled_elsewhere_is_looked_up(void **state)
{
    PGconn *db = *state;
    awa_worker *w = start_pulled(db, .threads = 2);
    int64_t kept = test_insert(db), lost;
    awa_attempt *a = take(w);

    settle(db, a, "COMMIT");
    awa_attempt_end(&a, AWA_SETTLED);
    test_wait_for(test_stats(w).completed == 1, 10000);
    assert_string_equal(
        test_text(db, test_format("SELECT state || ' ' || output FROM awa.jobs WHERE"
                                  " id = %" PRId64,
                                  kept)),
        "completed {\"sum\": 3}");

    lost = test_insert(db);
    a = take(w);
    settle(db, a, "ROLLBACK");
    awa_attempt_end(&a, AWA_SETTLED);
    test_wait_for(test_stats(w).failed == 1, 10000);
    assert_string_equal(
        test_text(db, test_format("SELECT state || ' ' || (errors -> -1 ->> 'error') FROM awa.jobs"
                                  " WHERE id = %" PRId64,
                                  lost)),
        "retryable its own transaction did not complete it");
    assert_int_equal(test_stats(w).stale, 0);
}

static void
a_transaction_of_an_attempt_commits_with_its_end(void **state)
{
    PGconn *db = *state;
    awa_worker *w = start_pulled(db, .threads = 2);
    PGconn *sessions[2];
    awa_attempt *a[2];
    awa_error err;

    test_exec(db, "CREATE TABLE effects (n int); GRANT INSERT ON effects TO test_worker");
    (void)test_insert(db);
    (void)test_insert(db);
    for (int i = 0; i < 2; i++) {
        a[i] = take(w);
        assert_int_equal(awa_attempt_transaction(a[i], &sessions[i], &err), AWA_OK);
        PQclear(PQexec(sessions[i], "INSERT INTO effects VALUES (1)"));
    }
    assert_ptr_not_equal(sessions[0], sessions[1]);
    awa_attempt_end(&a[0], AWA_COMPLETE);
    awa_attempt_end(&a[1], AWA_RETRY);
    assert_int_equal(test_int(db, "SELECT count(*) FROM effects"), 1);
    test_wait_for(test_stats(w).completed == 1 && test_stats(w).failed == 1, 10000);
}

static void
what_is_released_goes_back_as_it_came(void **state)
{
    PGconn *db = *state;
    awa_worker *w = start_pulled(db, .threads = 1);
    int64_t id = test_insert(db);
    awa_attempt *a = take(w);

    awa_attempt_end(&a, AWA_RELEASE);
    test_wait_for(test_stats(w).released == 1, 10000);
    a = take(w);
    assert_int_equal(awa_attempt_id(a), id);
    assert_int_equal(awa_attempt_number(a), 1);
    assert_int_equal(test_log_count("cannot be begun"), 0);

    awa__ignore(awa_attempt_set_error(a, "no child is ready"));
    awa_attempt_end(&a, AWA_RELEASE);
    test_wait_for(
        test_log_count("jobs cannot be begun here and are given back: no child is ready") == 1,
        10000);
    a = take(w);
    assert_int_equal(awa_attempt_number(a), 1);
    awa_attempt_begun(a);
    awa_attempt_end(&a, AWA_COMPLETE);
    test_wait_for(test_stats(w).completed == 1, 10000);
}

static void
without_slots_nothing_is_claimed(void **state)
{
    PGconn *db = *state;
    awa_worker *w = start_pulled(db, .threads = 3);
    awa_attempt *a, *none;
    awa_error err;

    for (int i = 0; i < 3; i++)
        (void)test_insert(db);
    a = take(w);
    assert_int_equal(awa_worker_set_slots(w, 0, &err), AWA_OK);
    test_wait_for(test_count(db, "available") == 2, 10000); /* what had waited here went back */
    assert_int_equal(awa_worker_take(w, 500, &none, &err), AWA_OK);
    assert_null(none);
    assert_int_equal(test_count(db, "available"), 2);
    awa_attempt_end(&a, AWA_COMPLETE);

    assert_int_equal(awa_worker_set_slots(w, 1, &err), AWA_OK);
    a = take(w);
    awa_attempt_end(&a, AWA_COMPLETE);
    assert_int_equal(awa_worker_set_slots(w, -1, &err), AWA_EINVAL);
    assert_int_equal(awa_worker_set_slots(w, 100001, &err), AWA_EINVAL);
}

static void
kinds_without_handlers_are_those_that_it_takes(void **state)
{
    static const awa_kind kinds[] = { { .kind = "k" } };
    PGconn *db = *state;
    awa_worker *w = start_pulled(db, .threads = 2, .kinds = kinds, .nkinds = 1);
    awa_attempt *a;

    test_exec(db, "SELECT awa.insert_job('other')");
    (void)test_insert(db);
    a = take(w);
    assert_string_equal(awa_attempt_kind(a), "k");
    test_wait_for(test_count(db, "scheduled") == 1, 10000); /* left to others, for a while */
    awa_attempt_end(&a, AWA_COMPLETE);
}

static void
attempts_in_hand_go_to_others_when_the_worker_is_freed(void **state)
{
    PGconn *db = *state;
    awa_worker *w = start_pulled(db, .threads = 1), *other;
    int64_t id = test_insert(db);
    awa_attempt *a = take(w);

    test_free_worker(w); /* it does not wait for what nobody will end */
    other = test_start(db, .threads = 1, .poll_ms = 100);
    a = take(other);
    assert_int_equal(awa_attempt_id(a), id);
    awa_attempt_end(&a, AWA_COMPLETE);
    test_wait_for(test_stats(other).completed == 1, 10000);
}

static awa_outcome
complete(awa_attempt *attempt, void *userdata)
{
    (void)attempt;
    (void)userdata;
    return AWA_COMPLETE;
}

static void
all_kinds_have_handlers_or_none_has(void **state)
{
    static const awa_kind mixed[] = { { .kind = "a", .handler = complete }, { .kind = "b" } };
    static const awa_kind handled[] = { { .handler = complete } };
    awa_worker *w = NULL;
    awa_error err;

    assert_int_equal(awa_worker_new(AWA_WORKER(.kinds = mixed, .nkinds = 2), &w, &err), AWA_EINVAL);
    assert_non_null(strstr(err.message, "a handler for every kind, or for none"));
    w = start_pulled(*state, .kinds = handled, .nkinds = 1);
    assert_int_equal(awa_worker_set_slots(w, 1, &err), AWA_EINVAL);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_WORKER(what_is_taken_runs_until_its_end_is_said),
        TEST_WORKER(a_take_waits_as_long_as_it_is_told),
        TEST_WORKER(a_worker_that_drains_hands_out_no_more),
        TEST_WORKER(any_thread_may_say_the_end),
        TEST_WORKER(many_are_taken_and_ended_at_once),
        TEST_WORKER(the_descriptor_is_readable_while_something_is_to_do),
        TEST_WORKER(an_attempt_that_has_ended_is_not_named_as_cancelled),
        TEST_WORKER(what_was_settled_elsewhere_is_looked_up),
        TEST_WORKER(a_transaction_of_an_attempt_commits_with_its_end),
        TEST_WORKER(what_is_released_goes_back_as_it_came),
        TEST_WORKER(without_slots_nothing_is_claimed),
        TEST_WORKER(kinds_without_handlers_are_those_that_it_takes),
        TEST_WORKER(attempts_in_hand_go_to_others_when_the_worker_is_freed),
        TEST_WORKER(all_kinds_have_handlers_or_none_has),
    };

    return TEST_RUN(tests);
}
