/* SPDX-License-Identifier: MIT */
/*
 * Every verb on a job in every state, in the name of the attempt that holds it, of an earlier one,
 * of another worker's and of one that never was: what is allowed happens, anything else changes
 * nothing. What is allowed says the table of verbs.
 */
#include "test_jobs.h"
#include "verbs.h"

#include <inttypes.h>
#include <string.h>

/* Sessions and what a test needs to bring jobs into states. */
struct house {
    PGconn *db, *worker, *operator;
    int64_t doomed; /* the number of the last worker that had to die */
};

/* A job in some state, and the attempts that it has seen. */
struct job {
    struct model_job model;
    struct attempt earlier, last;
};

static void
open_house(struct house *h, PGconn *db)
{
    *h = (struct house){ db, test_worker(db, 7), test_connect(db, "operator"), 1000 };
    test_exec(h->worker, "SELECT awa.register_worker(8, 'w8', '{default}')");
}

/* What a verb answers: rows, or an SQLSTATE. */
static const char *
say(struct house *h, const struct verb *v, const struct attempt *a)
{
    PGconn *conn = strcmp(v->role, "worker") == 0 ? h->worker : h->operator;

    test_send(conn, test_attempt_sql(v->sql, a));
    return test_outcome(conn);
}

/* ---- States ------------------------------------------------------------------------------ */

static void
change(struct house *h, struct job *j, const char *verb)
{
    const struct verb *v = verb_named(verb);

    say(h, v, &j->last);
    verb_apply(v, &j->model, 0, false);
}

/* In its second attempt; the first one was released. */
static struct job
running(struct house *h)
{
    struct job j = { .model = { .state = MODEL_RUNNING, .attempt = 1, .max_attempts = 25 } };

    j.model.id = test_insert(h->db);
    j.earlier = test_claim_one(h->worker, 7);
    say(h, verb_named("close_released"), &j.earlier);
    j.last = test_claim_one(h->worker, 7);
    return j;
}

static struct job
closed(struct house *h, const char *verb)
{
    struct job j = running(h);

    change(h, &j, verb);
    return j;
}

static struct job
available(struct house *h)
{
    return closed(h, "close_released");
}

static struct job
scheduled(struct house *h)
{
    return closed(h, "close_snoozed");
}

static struct job
retryable(struct house *h)
{
    return closed(h, "close_retried");
}

static struct job
completed(struct house *h)
{
    return closed(h, "close_completed");
}

static struct job
failed(struct house *h)
{
    return closed(h, "close_failed");
}

static struct job
cancelled(struct house *h)
{
    return closed(h, "close_cancelled");
}

static struct job
withdrawn(struct house *h)
{
    struct job j = available(h);

    change(h, &j, "cancel");
    return j;
}

static struct job
dead(struct house *h)
{
    struct job j = failed(h);

    change(h, &j, "move_to_dlq");
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
    j.model.attempt++;
    return j;
}

static const struct {
    const char *name;
    struct job (*make)(struct house *h);
    bool held; /* the last attempt holds it */
} states[] = {
    { "available", available, false }, { "rescued", rescued, false },
    { "scheduled", scheduled, false }, { "retryable", retryable, false },
    { "running", running, true },      { "carried", carried, true },
    { "completed", completed, false }, { "failed", failed, false },
    { "cancelled", cancelled, false }, { "withdrawn", withdrawn, false },
    { "dead", dead, false },
};
enum { STATES = sizeof states / sizeof states[0] };

/* ---- Verbs ------------------------------------------------------------------------------- */

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

/* The job is as the model has it. */
static const char *
state_of(struct house *h, const struct job *j)
{
    return test_rows(h->db, test_format("SELECT CASE WHEN dlq_at IS NULL THEN state::text ELSE"
                                        " 'dead' END, attempt FROM awa.jobs WHERE id = %" PRId64,
                                        j->model.id));
}

static const char *
state_in_model(const struct job *j)
{
    if (j->model.state == MODEL_GONE)
        return "";
    return test_format("%s|%d", model_states[j->model.state], j->model.attempt);
}

/* It acts as the table says, or nothing changes. */
static void
apply(struct house *h, const struct verb *v, struct job *j)
{
    bool acts = MODEL_IS(&j->model, v->from), does = acts || MODEL_IS(&j->model, v->hastens);
    const char *before = picture(h, j->model.id), *got = say(h, v, &j->last), *want;

    if (acts)
        verb_apply(v, &j->model, 0, false);
    want = does ? verb_answer(v, &j->model) : v->idle;
    if (strcmp(got, want) != 0 || strcmp(state_of(h, j), state_in_model(j)) != 0)
        fail_msg("%s, from %s:\nwant %s and %s\ngot %s and %s", v->name, before, want,
                 state_in_model(j), got, state_of(h, j));
    if (!does && strcmp(picture(h, j->model.id), before) != 0)
        fail_msg("%s, from %s to %s", v->name, before, picture(h, j->model.id));
}

/* Each way to end an attempt, for some that do not hold the job. */
static void
expect_stale(struct house *h, const struct job *j, const struct attempt *who, int n)
{
    const char *before = picture(h, j->model.id);

    for (size_t v = 0; v < nverbs; v++) {
        if (verbs[v].sort != VERB_BY_ATTEMPT)
            continue;
        for (int w = 0; w < n; w++)
            if (strcmp(say(h, &verbs[v], &who[w]), verbs[v].idle) != 0)
                fail_msg("%s: %s of attempt %d did something", before, verbs[v].name, w);
        if (strcmp(picture(h, j->model.id), before) != 0)
            fail_msg("%s: from %s to %s", verbs[v].name, before, picture(h, j->model.id));
    }
}

/* It is the only job to be handed out now, or there is none. */
static void
expect_handed_out(struct house *h, const struct job *j, bool now)
{
    struct attempt a;

    test_exec(h->worker, "SELECT awa.promote_jobs()");
    if (!now) {
        assert_string_equal(test_claim_ids(h->worker, 7, 10), "");
        return;
    }
    a = test_claim_one(h->worker, 7);
    assert_int_equal(a.id, j->model.id);
    assert_int_equal(a.number, j->model.attempt + 1);
    assert_string_equal(test_close(h->worker, &a, "completed"), "completed");
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

        who[1].worker = 8;
        who[2].claim += 1000000;
        assert_string_equal(state_of(&h, &j), state_in_model(&j));
        expect_stale(&h, &j, who, states[s].held ? 3 : 4);
        test_exec(h.operator, "SELECT awa.drain_queue('default')");
    }
}

static void
the_attempt_that_holds_a_job_ends_it_once(void **state)
{
    struct house h;

    open_house(&h, *state);
    for (size_t i = 0; i < STATES * nverbs; i++) {
        const struct verb *v = &verbs[i % nverbs];
        struct job j;

        if (!states[i / nverbs].held || v->sort != VERB_BY_ATTEMPT)
            continue;
        test_forget_texts();
        j = states[i / nverbs].make(&h);
        apply(&h, v, &j);
        expect_stale(&h, &j, &j.last, 1);
        test_exec(h.operator, "SELECT awa.drain_queue('default')");
    }
}

/* Cancel, retry and their like: twice, so that the second one meets what the first left. */
static void
a_verb_on_a_job_acts_in_the_states_that_it_names(void **state)
{
    struct house h;

    open_house(&h, *state);
    for (size_t i = 0; i < STATES * nverbs; i++) {
        const struct verb *v = &verbs[i % nverbs];
        bool hastened;
        struct job j;

        if (v->sort != VERB_BY_ID)
            continue;
        test_forget_texts();
        j = states[i / nverbs].make(&h);
        hastened = MODEL_IS(&j.model, v->hastens);
        apply(&h, v, &j);
        apply(&h, v, &j);
        if (j.model.state != MODEL_RUNNING)
            expect_stale(&h, &j, &j.last, 1);
        expect_handed_out(&h, &j, hastened || j.model.state == MODEL_AVAILABLE);
        test_exec(h.operator, "SELECT awa.drain_queue('default')");
    }
}

static void
a_cancelled_job_says_why_and_since_when(void **state)
{
    struct house h;

    open_house(&h, *state);
    for (int s = 0; s < STATES; s++) {
        struct job j = states[s].make(&h);

        if (!MODEL_IS(&j.model, MODEL_LIVE))
            continue;
        assert_string_equal(
            test_text(h.operator,
                      test_format("SELECT awa.cancel_job(%" PRId64 ", 'no use')", j.model.id)),
            "t");
        assert_string_equal(
            test_rows(h.db, test_format("SELECT errors -> -1 ->> 'error', errors -> -1 ->>"
                                        " 'outcome', finalized_at > clock_timestamp() -"
                                        " interval '1 min' FROM awa.jobs WHERE id = %" PRId64,
                                        j.model.id)),
            "no use|cancelled|t");
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
a_verb_on_an_unknown_job_does_nothing(void **state)
{
    struct house h;

    open_house(&h, *state);
    for (int id = -1; id < 2; id++)
        for (size_t v = 0; v < nverbs; v++)
            if (verbs[v].sort == VERB_BY_ID)
                assert_string_equal(say(&h, &verbs[v], &(struct attempt){ .id = id }),
                                    verbs[v].idle);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_DB(only_the_attempt_that_holds_a_job_ends_it),
        TEST_DB(the_attempt_that_holds_a_job_ends_it_once),
        TEST_DB(a_verb_on_a_job_acts_in_the_states_that_it_names),
        TEST_DB(a_cancelled_job_says_why_and_since_when),
        TEST_DB(a_heartbeat_tells_which_attempts_are_lost),
        TEST_DB(a_verb_on_an_unknown_job_does_nothing),
    };

    return TEST_RUN(tests);
}
