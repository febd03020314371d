/* SPDX-License-Identifier: MIT */
/*
 * Every verb on a job in every state, in the name of the attempt that holds it, of an earlier one,
 * of another worker's and of one that never was: what is allowed happens, anything else changes
 * nothing.
 */
#include "test_jobs.h"

#include <inttypes.h>
#include <string.h>

/* Sessions and what a test needs to bring jobs into states. */
struct house {
    PGconn *db, *worker, *operator;
    int64_t doomed; /* the number of the last worker that had to die */
};

/* A job in some state, and the attempts that it has seen. */
struct job {
    int64_t id;
    struct attempt earlier, last;
};

static void
open_house(struct house *h, PGconn *db)
{
    *h = (struct house){ db, test_worker(db, 7), test_connect(db, "operator"), 1000 };
    test_exec(h->worker, "SELECT awa.register_worker(8, 'w8', '{default}')");
}

static const char *
close_as(struct house *h, const struct attempt *a, const char *outcome, const char *delay)
{
    return test_text(h->worker,
                     test_close_sql(a, outcome, test_format("'{why}', NULL, '{%s}'", delay)));
}

/* ---- States ------------------------------------------------------------------------------ */

/* In its second attempt; the first one was released. */
static struct job
running(struct house *h)
{
    struct job j = { .id = test_insert(h->db) };

    j.earlier = test_claim_one(h->worker, 7);
    close_as(h, &j.earlier, "released", "0 s");
    j.last = test_claim_one(h->worker, 7);
    return j;
}

static struct job
closed(struct house *h, const char *outcome, const char *delay)
{
    struct job j = running(h);

    close_as(h, &j.last, outcome, delay);
    return j;
}

static struct job
available(struct house *h)
{
    return closed(h, "released", "0 s");
}

static struct job
scheduled(struct house *h)
{
    return closed(h, "snoozed", "1 h");
}

static struct job
retryable(struct house *h)
{
    return closed(h, "retried", "1 h");
}

static struct job
completed(struct house *h)
{
    return closed(h, "completed", "0 s");
}

static struct job
failed(struct house *h)
{
    return closed(h, "failed", "0 s");
}

static struct job
cancelled(struct house *h)
{
    return closed(h, "cancelled", "0 s");
}

static struct job
withdrawn(struct house *h)
{
    struct job j = available(h);

    test_exec(h->operator, test_format("SELECT awa.cancel_job(%" PRId64 ")", j.id));
    return j;
}

/* Running, but in another slot than the one that the worker remembers. */
static struct job
carried(struct house *h)
{
    struct job j = running(h);

    test_exec(h->db, "SELECT awa.rotate_ring(true)");
    test_exec(h->worker, test_format("SELECT awa.checkpoint_heads(%d::smallint)", j.last.slot));
    test_exec(h->worker, test_format("SELECT awa.carry_forward(%d::smallint)", j.last.slot));
    assert_string_equal(
        test_text(h->worker, test_format("SELECT awa.prune_slot(%d::smallint)", j.last.slot)),
        "pruned");
    return j;
}

static struct job
rescued(struct house *h)
{
    struct job j = available(h);

    h->doomed++;
    test_exec(h->worker, test_format("SELECT awa.register_worker(%" PRId64
                                     ", 'doomed', '{default}', p_session => false)",
                                     h->doomed));
    j.earlier = j.last;
    j.last = test_claim_one(h->worker, h->doomed);
    test_exec(h->worker, test_format("SELECT awa.deregister_worker(%" PRId64 ")", h->doomed));
    assert_int_equal(test_int(h->worker, "SELECT awa.rescue_jobs()"), 1);
    return j;
}

static const struct {
    const char *name; /* as the views show it */
    struct job (*make)(struct house *h);
    bool held;                /* the last attempt holds it */
    const char *cancelled_as; /* its state after awa.cancel_job(); NULL: refused */
    const char *retried_as;   /* its state after awa.retry_job(); NULL: refused */
} states[] = {
    { "available", available, false, "cancelled", NULL },
    { "available", rescued, false, "cancelled", NULL },
    { "scheduled", scheduled, false, "cancelled", "scheduled" },
    { "retryable", retryable, false, "cancelled", "retryable" },
    { "running", running, true, "cancelled", NULL },
    { "running", carried, true, "cancelled", NULL },
    { "completed", completed, false, NULL, NULL },
    { "failed", failed, false, NULL, "available" },
    { "cancelled", cancelled, false, NULL, "available" },
    { "cancelled", withdrawn, false, NULL, "available" },
};
enum { STATES = sizeof states / sizeof states[0] };

/* ---- Verbs ------------------------------------------------------------------------------- */

/* Each returns whether it did something. */
static bool
complete_many(struct house *h, const struct attempt *a)
{
    return strcmp(test_text(h->worker, test_complete_sql(a)), "{}") != 0;
}

static bool
complete_in_transaction(struct house *h, const struct attempt *a)
{
    const char *sql = test_format("SELECT awa.complete_job(%" PRId64 ", %" PRId64 ", %" PRId64 ")",
                                  a->worker, a->claim, a->pos);
    PGresult *res = PQexec(h->worker, sql);
    const char *error = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    bool done = error == NULL;

    if (error != NULL)
        assert_string_equal(error, "JQ003");
    PQclear(res);
    return done;
}

static const struct {
    const char *outcome; /* for awa.close_jobs(); NULL: the function does it */
    bool (*run)(struct house *h, const struct attempt *a);
    const char *leaves;
} verbs[] = {
    { NULL, complete_many, "completed" }, { NULL, complete_in_transaction, "completed" },
    { "completed", NULL, "completed" },   { "failed", NULL, "failed" },
    { "cancelled", NULL, "cancelled" },   { "retried", NULL, "retryable" },
    { "snoozed", NULL, "scheduled" },     { "released", NULL, "scheduled" }, /* with a delay */
    { "expired", NULL, "available" },
};
enum { VERBS = sizeof verbs / sizeof verbs[0] };

static bool
apply(struct house *h, int verb, const struct attempt *a)
{
    if (verbs[verb].run != NULL)
        return verbs[verb].run(h, a);
    return strcmp(close_as(h, a, verbs[verb].outcome, "1 h"), "stale") != 0;
}

/* All that is known of a job, and how much is written about any. */
static const char *
picture(struct house *h, int64_t id)
{
    return test_rows(h->db,
                     test_format("SELECT (SELECT jsonb_agg(to_jsonb(j)) FROM awa.get_job(%" PRId64
                                 ") AS j), (SELECT count(*) FROM awa.ready_entries), (SELECT"
                                 " count(*) FROM awa.ready_tombstones), (SELECT count(*) FROM"
                                 " awa.closures), (SELECT count(*) FROM awa.done_entries), (SELECT"
                                 " count(*) FROM awa.deferred_jobs)",
                                 id));
}

/* ---- Tests ------------------------------------------------------------------------------- */

static void
only_the_attempt_that_holds_a_job_ends_it(void **state)
{
    struct house h;

    open_house(&h, *state);
    for (int s = 0; s < STATES; s++) {
        struct job j = states[s].make(&h);
        struct attempt who[4] = { j.earlier, j.last, j.last, j.last };
        const char *before;

        who[1].worker = 8;
        who[2].claim += 1000000;
        assert_string_equal(test_state(h.db, j.id), states[s].name);
        before = picture(&h, j.id);
        for (int v = 0; v < VERBS; v++) {
            for (int w = 0; w < (states[s].held ? 3 : 4); w++)
                if (apply(&h, v, &who[w]))
                    fail_msg("state %d (%s): verb %d of attempt %d did something", s,
                             states[s].name, v, w);
            if (strcmp(picture(&h, j.id), before) != 0)
                fail_msg("state %d (%s), verb %d: from %s to %s", s, states[s].name, v, before,
                         picture(&h, j.id));
        }
        test_exec(h.operator, "SELECT awa.drain_queue('default')");
    }
}

static void
the_attempt_that_holds_a_job_ends_it_once(void **state)
{
    struct house h;

    open_house(&h, *state);
    for (int s = 0; s < STATES; s++)
        for (int v = 0; states[s].held && v < VERBS; v++) {
            struct job j = states[s].make(&h);
            const char *after;

            if (!apply(&h, v, &j.last) || strcmp(test_state(h.db, j.id), verbs[v].leaves) != 0)
                fail_msg("state %d, verb %d: want %s, got %s", s, v, verbs[v].leaves,
                         test_state(h.db, j.id));
            after = picture(&h, j.id);
            for (int again = 0; again < VERBS; again++)
                if (apply(&h, again, &j.last))
                    fail_msg("state %d: verb %d did something after verb %d", s, again, v);
            assert_string_equal(picture(&h, j.id), after);
            test_exec(h.operator, "SELECT awa.drain_queue('default')");
        }
}

static void
a_live_job_can_be_cancelled_and_only_once(void **state)
{
    struct house h;

    open_house(&h, *state);
    for (int s = 0; s < STATES; s++) {
        struct job j = states[s].make(&h);
        const char *sql = test_format("SELECT awa.cancel_job(%" PRId64 ", 'no use')", j.id);
        const char *before = picture(&h, j.id), *got = test_text(h.operator, sql);

        if (states[s].cancelled_as == NULL) {
            assert_string_equal(got, "f");
            assert_string_equal(picture(&h, j.id), before);
            continue;
        }
        assert_string_equal(got, "t");
        assert_string_equal(test_state(h.db, j.id), states[s].cancelled_as);
        assert_string_equal(
            test_rows(h.db, test_format("SELECT errors -> -1 ->> 'error', errors -> -1 ->>"
                                        " 'outcome', finalized_at > clock_timestamp() - interval"
                                        " '1 min' FROM awa.jobs WHERE id = %" PRId64,
                                        j.id)),
            "no use|cancelled|t");
        assert_string_equal(test_text(h.operator, sql), "f");
        for (int v = 0; v < VERBS; v++)
            assert_false(apply(&h, v, &j.last));
        assert_string_equal(test_state(h.db, j.id), "cancelled");
        assert_string_equal(test_claim_ids(h.worker, 7, 10), "");
    }
}

static void
an_ended_job_can_be_retried_and_a_deferred_one_is_due(void **state)
{
    struct house h;

    open_house(&h, *state);
    for (int s = 0; s < STATES; s++) {
        struct job j = states[s].make(&h);
        const char *sql = test_format("SELECT awa.retry_job(%" PRId64 ")", j.id);
        const char *before = picture(&h, j.id), *got = test_text(h.operator, sql);
        struct attempt a;

        if (states[s].retried_as == NULL) {
            assert_string_equal(got, "f");
            assert_string_equal(picture(&h, j.id), before);
            test_exec(h.operator, "SELECT awa.drain_queue('default')");
            continue;
        }
        assert_string_equal(got, "t");
        assert_string_equal(test_state(h.db, j.id), states[s].retried_as);
        if (strcmp(states[s].retried_as, "available") == 0)
            assert_string_equal(test_text(h.operator, sql), "f");
        for (int v = 0; v < VERBS; v++)
            assert_false(apply(&h, v, &j.last));
        test_exec(h.worker, "SELECT awa.promote_jobs()");
        a = test_claim_one(h.worker, 7);
        assert_int_equal(a.id, j.id);
        /* an ended job begins anew; a retryable one goes on counting */
        assert_int_equal(a.number, strcmp(states[s].name, "retryable") == 0 ? 2 : 1);
        assert_string_equal(test_close(h.worker, &a, "completed"), "completed");
    }
}

/* Those workers have lost exactly the position of an attempt, or nothing. */
static void
expect_lost(struct house *h, const char *workers, int64_t claim, int64_t pos, bool lost)
{
    const struct attempt a = { .claim = claim, .pos = pos };

    assert_string_equal(
        test_rows(h->worker, test_attempt_sql(test_format("SELECT lost = '<run>', lost = '{}' FROM"
                                                          " awa.heartbeat('%s', '{}',"
                                                          " '{<claim>}', '{\"<run>\"}')",
                                                          workers),
                                              &a)),
        lost ? "t|f" : "f|t");
}

static void
a_heartbeat_tells_which_attempts_are_lost(void **state)
{
    struct house h;

    open_house(&h, *state);
    for (int s = 0; s < STATES; s++) {
        struct job j = states[s].make(&h);

        expect_lost(&h, "{7,8}", j.earlier.claim, j.earlier.pos, true);
        expect_lost(&h, "{7,8}", j.last.claim, j.last.pos, !states[s].held);
        expect_lost(&h, "{7,8}", j.last.claim + 1000000, j.last.pos, true);
        expect_lost(&h, "{8}", j.last.claim, j.last.pos, true);
        assert_string_equal(
            test_text(h.worker,
                      test_format("SELECT lost = e + CASE WHEN %d = 1 THEN '{}' ELSE l END"
                                  " FROM (SELECT int8multirange(int8range(%" PRId64 ", %" PRId64
                                  ", '[]')) AS e,"
                                  " int8multirange(int8range(%" PRId64 ", %" PRId64
                                  ", '[]')) AS l) AS p CROSS JOIN LATERAL"
                                  " awa.heartbeat('{7}', '{}', '{%" PRId64 ",%" PRId64
                                  "}', ARRAY[e, l]) AS h",
                                  states[s].held, j.earlier.pos, j.earlier.pos, j.last.pos,
                                  j.last.pos, j.earlier.claim, j.last.claim)),
            "t");
        test_exec(h.operator, "SELECT awa.drain_queue('default')");
    }
}

static void
an_unknown_job_is_neither_cancelled_nor_retried(void **state)
{
    PGconn *operator= test_connect(*state, "operator");

    for (int id = -1; id < 2; id++) {
        assert_string_equal(test_text(operator, test_format("SELECT awa.cancel_job(%d)", id)), "f");
        assert_string_equal(test_text(operator, test_format("SELECT awa.retry_job(%d)", id)), "f");
    }
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_DB(only_the_attempt_that_holds_a_job_ends_it),
        TEST_DB(the_attempt_that_holds_a_job_ends_it_once),
        TEST_DB(a_live_job_can_be_cancelled_and_only_once),
        TEST_DB(an_ended_job_can_be_retried_and_a_deferred_one_is_due),
        TEST_DB(a_heartbeat_tells_which_attempts_are_lost),
        TEST_DB(an_unknown_job_is_neither_cancelled_nor_retried),
    };

    return TEST_RUN(tests);
}
