/* SPDX-License-Identifier: MIT */
/* What a handler is told of its job, and what becomes of the job by what it says. */
#include "test_worker.h"

#include <inttypes.h>
#include <string.h>

/* ---- How it ends ------------------------------------------------------------------------- */

struct ending {
    const char *kind;
    awa_outcome outcome;
    const char *output, *error;
    int64_t delay_ms; /* -1: not set */
    const char *want; /* state, attempt, outcome and text of the error, output, in an hour? */
};

static awa_outcome
end_as(awa_attempt *job, void *userdata)
{
    const struct ending *e = userdata;

    if (e->output != NULL)
        awa__ignore(awa_attempt_set_output(job, e->output, strlen(e->output)));
    if (e->error != NULL)
        awa__ignore(awa_attempt_set_error(job, e->error));
    if (e->delay_ms >= 0)
        awa_attempt_set_delay(job, e->delay_ms);
    return e->outcome;
}

static void
insert_kind(PGconn *db, const char *kind)
{
    test_exec(db, test_format("SELECT awa.insert_job('%s')", kind));
}

static void
a_handler_decides_what_becomes_of_its_job(void **state)
{
    static const int64_t hour = 3600 * 1000;
    static const struct ending endings[] = {
        { "complete", AWA_COMPLETE, NULL, NULL, -1, "completed|1||||" },
        { "with output", AWA_COMPLETE, "{\"a\":1}", NULL, -1, "completed|1|||{\"a\": 1}|" },
        { "no json", AWA_COMPLETE, "{a", NULL, -1, "completed|1|||wrapped|" },
        { "warning", AWA_COMPLETE, NULL, "odd", -1, "completed|1||||" },
        { "retry", AWA_RETRY, NULL, NULL, -1, "retryable|1|retried|||" },
        { "with error", AWA_RETRY, NULL, "oops", -1, "retryable|1|retried|oops||" },
        { "retry after", AWA_RETRY, NULL, "oops", hour, "retryable|1|retried|oops||later" },
        { "retry now", AWA_RETRY, NULL, "oops", 0, "retryable|1|retried|oops||" },
        { "retry before", AWA_RETRY, NULL, "oops", -hour, "retryable|1|retried|oops||" },
        { "snooze", AWA_SNOOZE, NULL, NULL, hour, "scheduled|0||||later" },
        { "cancel", AWA_CANCEL, NULL, "not needed", -1, "cancelled|1|cancelled|not needed||" },
        { "fail", AWA_FAIL, NULL, "hopeless", -1, "failed|1|failed|hopeless||" },
        { "fail, output", AWA_FAIL, "[2]", "hopeless", -1, "failed|1|failed|hopeless|[2]|" },
        { "odd", (awa_outcome)99, NULL, NULL, -1, "retryable|1|retried|||" },
        { "odder", (awa_outcome)-1, NULL, NULL, -1, "retryable|1|retried|||" },
    };
    enum { N = sizeof endings / sizeof endings[0] };
    PGconn *db = *state;
    awa_kind kinds[N];
    awa_worker *w;

    for (int i = 0; i < N; i++) {
        kinds[i] = (awa_kind){ endings[i].kind, end_as, (void *)(uintptr_t)&endings[i] };
        insert_kind(db, endings[i].kind);
    }
    w = test_start(db, .kinds = kinds, .nkinds = N, .threads = 3, .no_leader = 1);
    test_wait_for(test_stats(w).completed + test_stats(w).failed == N, 10000);
    for (int i = 0; i < N; i++) {
        const char *got = test_rows(
            db, test_format("SELECT state, attempt, errors->0->>'outcome', errors->0->>'error',"
                            " CASE WHEN output ? 'stdout' THEN 'wrapped' ELSE output::text"
                            " END, CASE WHEN state IN ('scheduled', 'retryable') AND run_at >"
                            " now() + interval '50 min' THEN 'later' END"
                            " FROM awa.jobs WHERE kind = '%s'",
                            endings[i].kind));

        if (strcmp(got, endings[i].want) != 0)
            fail_msg("%s: want %s, got %s", endings[i].kind, endings[i].want, got);
    }
    assert_int_equal(test_stats(w).stale, 0);
}

/* ---- Words ------------------------------------------------------------------------------- */

static awa_outcome
say_odd_things(awa_attempt *job, void *userdata)
{
    static const char output[] = "[\"a\0b\"]";
    char *text;

    (void)userdata;
    switch (awa_attempt_kind(job)[0]) {
    case '0':
        awa__ignore(awa_attempt_set_error(job, "a\xff\xc3 \xed\xa0\x80z"));
        return AWA_FAIL;
    case '1': /* cut in the middle of a character of two bytes */
        text = calloc(1, 20001);
        if (text != NULL) {
            for (size_t i = 0; i < 20000; i++)
                text[i] = i == 0 ? 'x' : i % 2 == 1 ? '\xc3' : '\xa4';
            awa__ignore(awa_attempt_set_error(job, text));
        }
        free(text);
        return AWA_FAIL;
    case '2':
        awa__ignore(awa_attempt_set_output(job, output, sizeof output - 1));
        return AWA_COMPLETE;
    case '3':
        awa__ignore(awa_attempt_set_output(job, "[\"\\u0000\"]", 10));
        return AWA_COMPLETE;
    default:
        awa__ignore(awa_attempt_set_error(job, "first"));
        awa__ignore(awa_attempt_set_error(job, ""));
        return AWA_FAIL;
    }
}

static void
any_words_are_kept_with_the_job(void **state)
{
    static const char *const want[] = {
        "a?? ???z|", "8191|", "|[\"a?b\"]", "|wrapped", "|",
    };
    PGconn *db = *state;
    const awa_kind kind = { .handler = say_odd_things };
    awa_worker *w;

    for (int i = 0; i < 5; i++)
        insert_kind(db, test_format("%d", i));
    w = test_start(db, .kinds = &kind, .nkinds = 1, .threads = 2);
    test_wait_for(test_stats(w).completed + test_stats(w).failed == 5, 10000);
    for (int i = 0; i < 5; i++)
        assert_string_equal(
            test_rows(db, test_format("SELECT CASE WHEN length(e) > 1000 THEN octet_length(e)::text"
                                      " ELSE e END, CASE WHEN output ? 'stdout' THEN"
                                      " 'wrapped' ELSE output::text END FROM awa.jobs,"
                                      " LATERAL (SELECT errors->0->>'error') AS x (e)"
                                      " WHERE kind = '%d'",
                                      i)),
            want[i]);
    assert_int_equal(test_count(db, "failed"), 3);
}

static awa_outcome
say_too_much(awa_attempt *job, void *userdata)
{
    awa_status *statuses = userdata;
    char *text = calloc(1, 1024 * 1024 + 2);

    if (text == NULL)
        return AWA_FAIL;
    memset(text, '1', 1024 * 1024 + 1);
    statuses[0] = awa_attempt_set_output(job, text, 1024 * 1024 + 1);
    statuses[1] = awa_attempt_set_output(job, NULL, 0);
    statuses[2] = awa_attempt_set_error(job, NULL);
    statuses[3] = awa_attempt_set_output(job, "1", 1);
    free(text);
    return AWA_COMPLETE;
}

static void
what_a_job_cannot_keep_is_refused(void **state)
{
    PGconn *db = *state;
    awa_status statuses[4] = { 0 };
    const awa_kind kind = { .handler = say_too_much, .userdata = statuses };

    test_insert(db);
    test_start(db, .kinds = &kind, .nkinds = 1);
    test_wait_until(db, "SELECT state = 'completed' AND output = '1' FROM awa.jobs", 10000);
    for (int i = 0; i < 3; i++)
        assert_int_equal(statuses[i], AWA_EINVAL);
    assert_int_equal(statuses[3], AWA_OK);
}

/* The engine takes any output; one that does not must not keep a job, or its neighbours, open. */
static awa_outcome
ask_for_jobs(awa_attempt *job, void *userdata)
{
    static const char *const tags[] = { "a\"b" };
    const char *kind = awa_attempt_kind(job);
    PGconn *conn;
    awa_error err;

    (void)userdata;
    if ((strcmp(kind, "transaction") == 0 || strcmp(kind, "broken") == 0) &&
        awa_attempt_transaction(job, &conn, &err) != AWA_OK)
        return AWA_FAIL;
    if (strcmp(kind, "broken") == 0)
        PQclear(PQexec(conn, "SELECT 1 / 0"));
    for (int i = 0; i < 10; i++)
        if (awa_attempt_follow(job,
                               AWA_JOB(.kind = "next", .queue = kind, .args_json = "{\"x\": [1]}",
                                       .priority = i == 0 ? 9 * (strcmp(kind, "bad") == 0) : 0,
                                       .tags = tags, .ntags = 1, .max_run_ms = 5000),
                               &err) != AWA_OK)
            return AWA_FAIL;
    if (awa_attempt_follow(job, AWA_JOB(.kind = "x"), &err) != AWA_EINVAL ||
        awa_attempt_follow(job, AWA_JOB(.run_at_ms = 5), &err) != AWA_EINVAL)
        return AWA_FAIL;
    return strcmp(kind, "snooze") == 0 ? AWA_SNOOZE : AWA_COMPLETE;
}

static void
a_handler_asks_for_jobs_that_follow(void **state)
{
    PGconn *db = *state;
    const awa_kind kinds[] = { { .kind = NULL, .handler = ask_for_jobs } };

    for (size_t i = 0; i < 5; i++)
        insert_kind(db,
                    (const char *[]){ "complete", "transaction", "snooze", "bad", "broken" }[i]);
    test_start(db, .kinds = kinds, .nkinds = 1, .threads = 1);
    test_wait_until(db,
                    "SELECT count(*) FILTER (WHERE state = 'completed') >= 2 AND count(*) FILTER"
                    " (WHERE state = 'retryable') = 2 FROM awa.jobs WHERE queue = 'default'",
                    10000);
    assert_string_equal(test_rows(db, "SELECT count(*) >= 10, count(*) % 10, min(args::text),"
                                      " min(tags), min(options::text) FROM awa.jobs"
                                      " WHERE kind = 'next' GROUP BY queue ORDER BY queue"),
                        "t|0|{\"x\": [1]}|{\"a\\\"b\"}|{\"max_run_ms\": 5000} "
                        "t|0|{\"x\": [1]}|{\"a\\\"b\"}|{\"max_run_ms\": 5000} "
                        "t|0|{\"x\": [1]}|{\"a\\\"b\"}|{\"max_run_ms\": 5000}");
    assert_string_equal(test_text(db, "SELECT errors -> 0 ->> 'error' FROM awa.jobs WHERE kind ="
                                      " 'bad'"),
                        "what the handler said was refused by the database: follow 0: priority:"
                        " want 1 to 4, got 9");
}

static void
a_job_whose_words_are_refused_ends_without_them(void **state)
{
    static const struct ending good = { "good", AWA_COMPLETE, "1", NULL, -1, NULL };
    static const struct ending bad = { "bad", AWA_COMPLETE, "\"poison\"", NULL, -1, NULL };
    PGconn *db = *state;
    const awa_kind kinds[] = { { "good", end_as, (void *)(uintptr_t)&good },
                               { "bad", end_as, (void *)(uintptr_t)&bad } };

    test_exec(db, "CREATE OR REPLACE FUNCTION awa.read_output(p_output text) RETURNS jsonb LANGUAGE"
                  " plpgsql IMMUTABLE AS $$ BEGIN IF p_output LIKE '%poison%' THEN RAISE 'poison';"
                  " END IF; RETURN p_output::jsonb; END $$");
    test_exec(db, "SELECT awa.insert_jobs('{good,bad,good,bad,good}')");
    test_start(db, .kinds = kinds, .nkinds = 2, .threads = 1);
    test_wait_until(db, "SELECT count(*) = 5 FROM awa.jobs WHERE state = 'completed'", 10000);
    assert_string_equal(test_rows(db, "SELECT kind, output, errors->0->>'error' FROM awa.jobs"
                                      " ORDER BY id LIMIT 2"),
                        "good|1| bad||what the handler said was refused by the database: poison");
    assert_int_equal(test_log_count("what it had to say was refused: poison"), 2);
}

static awa_outcome
snooze_first(awa_attempt *job, void *userdata)
{
    (void)userdata;
    return awa_attempt_number(job) == 1 ? AWA_SNOOZE : AWA_COMPLETE;
}

/* Then nobody runs it, and the worker that holds it lives on. */
static void
a_job_whose_end_is_refused_altogether_runs_again(void **state)
{
    PGconn *db = *state;
    const awa_kind kind = { .handler = snooze_first };

    test_exec(db, "CREATE OR REPLACE FUNCTION awa.decide(p_asked awa.outcome, p_used int,"
                  " p_max_attempts int) RETURNS awa.outcome LANGUAGE plpgsql AS $$ BEGIN"
                  " IF p_asked = 'snoozed' THEN RAISE 'never'; END IF; RETURN p_asked; END $$");
    test_insert(db);
    test_start(db, .kinds = &kind, .nkinds = 1);
    test_wait_until(db, "SELECT state = 'completed' FROM awa.jobs", 10000);
    assert_string_equal(test_rows(db, "SELECT attempt, errors -> 0 ->> 'outcome' FROM awa.jobs"),
                        "2|rescued");
}

/* ---- Attempts ---------------------------------------------------------------------------- */

static awa_outcome
fail_each_time(awa_attempt *job, void *userdata)
{
    atomic_int *attempts = userdata;
    char text[40];

    if (awa_attempt_number(job) == atomic_load(attempts) + 1 && awa_attempt_max_attempts(job) == 3)
        atomic_fetch_add(attempts, 1);
    snprintf(text, sizeof text, "error %" PRId64, awa_attempt_number(job));
    awa__ignore(awa_attempt_set_error(job, text));
    awa_attempt_set_delay(job, 0);
    return AWA_RETRY;
}

static void
a_job_is_tried_until_its_attempts_are_used_up(void **state)
{
    PGconn *db = *state;
    atomic_int attempts = 0;
    const awa_kind kind = { .handler = fail_each_time, .userdata = &attempts };

    test_exec(db, "SELECT awa.insert_job('k', p_max_attempts => 3)");
    test_start(db, .kinds = &kind, .nkinds = 1);
    test_wait_until(db, "SELECT state = 'failed' FROM awa.jobs", 20000);
    assert_int_equal(atomic_load(&attempts), 3);
    assert_string_equal(
        test_rows(db, "SELECT attempt, (SELECT string_agg((e->>'attempt') || ' ' || (e->>'error'),"
                      " ', ') FROM jsonb_array_elements(errors) AS e) FROM awa.jobs"),
        "3|1 error 1, 2 error 2, 3 error 3");
}

static awa_outcome
give_up_when_told(awa_attempt *job, void *hold)
{
    awa_outcome outcome = test_hold(job, hold);

    awa__ignore(awa_attempt_set_error(job, "gave up"));
    if (strcmp(awa_attempt_kind(job), "patient") == 0)
        awa_attempt_set_delay(job, 3600 * 1000);
    return outcome;
}

static void
an_attempt_that_gives_up_at_its_deadline_has_expired(void **state)
{
    PGconn *db = *state;
    struct hold *hold = test_hold_new();
    const awa_kind kind = { .handler = give_up_when_told, .userdata = hold };
    awa_worker *w;

    test_exec(db, "SELECT awa.set_queue('default', p_deadline => '200 ms')");
    test_exec(db, "SELECT awa.insert_job('k', p_max_attempts => 2)");
    test_exec(db, "SELECT awa.insert_job('patient')");
    w = test_start(db, .kinds = &kind, .nkinds = 1, .threads = 2);
    test_wait_until(db, "SELECT state = 'failed' FROM awa.jobs WHERE id = 1", 10000);
    assert_string_equal(
        test_rows(db, "SELECT attempt, (SELECT string_agg((e->>'outcome') || ' ' || (e->>'error'),"
                      " ', ') FROM jsonb_array_elements(errors) AS e) FROM awa.jobs WHERE id = 1"),
        "2|expired gave up, expired gave up");
    test_wait_until(db, "SELECT state = 'retryable' FROM awa.jobs WHERE id = 2", 10000);
    assert_string_equal(
        test_rows(db, "SELECT attempt, errors->0->>'outcome' FROM awa.jobs WHERE id = 2"),
        "1|retried");
    assert_int_equal(atomic_load(&hold->cancelled), 3);
    assert_int_equal(test_stats(w).stale, 0);
}

static void
an_attempt_that_is_done_at_its_deadline_is_done(void **state)
{
    PGconn *db = *state;
    struct hold *hold = test_hold_new();
    const awa_kind kind = { .handler = test_hold, .userdata = hold };

    hold->outcome_cancelled = AWA_COMPLETE;
    test_exec(db, "SELECT awa.set_queue('default', p_deadline => '200 ms')");
    test_insert(db);
    test_start(db, .kinds = &kind, .nkinds = 1);
    test_wait_until(db, "SELECT state = 'completed' FROM awa.jobs", 10000);
    assert_int_equal(atomic_load(&hold->cancelled), 1);
}

/* ---- Which handler ----------------------------------------------------------------------- */

static awa_outcome
note_queue(awa_attempt *job, void *userdata)
{
    char text[100];

    snprintf(text, sizeof text, "\"%s:%s:%s\"", (const char *)userdata, awa_attempt_queue(job),
             awa_attempt_kind(job));
    awa__ignore(awa_attempt_set_output(job, text, strlen(text)));
    return AWA_COMPLETE;
}

static void
each_kind_of_each_queue_goes_to_its_handler(void **state)
{
    static const char *const queues[] = { "q1", "q2", "a \"b\\c" };
    static const awa_kind kinds[] = { { "a", note_queue, (void *)(uintptr_t) "A" },
                                      { NULL, note_queue, (void *)(uintptr_t) "any" },
                                      { "b", note_queue, (void *)(uintptr_t) "B" } };
    PGconn *db = *state;

    test_exec(db, "SELECT awa.insert_job(k, p_queue => q) FROM unnest('{a,b,c}'::text[]) AS k,"
                  " unnest('{q1,q2,q3}'::text[]) AS q");
    test_exec(db, "SELECT awa.insert_job('a', p_queue => 'a \"b\\c')");
    test_start(db, .queues = queues, .nqueues = 3, .kinds = kinds, .nkinds = 3, .threads = 2);
    test_wait_until(db, "SELECT count(*) = 7 FROM awa.jobs WHERE state = 'completed'", 10000);
    assert_string_equal(
        test_rows(db, "SELECT output->>0 FROM awa.jobs WHERE queue IN ('q1', 'q2') ORDER BY 1"),
        "A:q1:a A:q2:a B:q1:b B:q2:b any:q1:c any:q2:c");
    assert_int_equal(
        test_int(db, "SELECT count(*) FROM awa.jobs WHERE state = 'available' AND queue = 'q3'"),
        3);
}

static void
a_kind_without_a_handler_is_left_to_others(void **state)
{
    PGconn *db = *state;
    const awa_kind kind = { "known", test_run_counted, test_runs_new() };
    awa_worker *w;

    insert_kind(db, "unknown");
    insert_kind(db, "known");
    w = test_start(db, .kinds = &kind, .nkinds = 1, .no_leader = 1);
    test_wait_for(test_stats(w).completed == 1 && test_stats(w).released == 1, 10000);
    assert_string_equal(test_rows(db, "SELECT state, attempt, errors, run_at BETWEEN now() +"
                                      " interval '1 s' AND now() + interval '5 s' FROM awa.jobs"
                                      " WHERE kind = 'unknown'"),
                        "scheduled|0||t");
}

/* ---- What it is told --------------------------------------------------------------------- */

struct told {
    char text[1000];
    int64_t id, lease, pos, enqueued, deadline;
    atomic_bool done;
};

static awa_outcome
take_down(awa_attempt *job, void *userdata)
{
    struct told *t = userdata;
    const char *metadata = awa_attempt_metadata(job);
    size_t len;
    const char *args = awa_attempt_args(job, &len);

    snprintf(t->text, sizeof t->text, "%s|%s|%s|%zu|%s|%" PRId64 "|%" PRId64 "|%zu|%s|%s|%s|%d",
             awa_attempt_kind(job), awa_attempt_queue(job), args, len,
             metadata != NULL ? metadata : "-", awa_attempt_number(job),
             awa_attempt_max_attempts(job), awa_attempt_ntags(job),
             awa_attempt_ntags(job) > 0 ? awa_attempt_tag(job, 0) : "-",
             awa_attempt_ntags(job) > 1 ? awa_attempt_tag(job, 1) : "-",
             awa_attempt_tag(job, awa_attempt_ntags(job)) == NULL ? "end" : "more",
             awa_attempt_cancelled(job));
    t->id = awa_attempt_id(job);
    t->lease = awa_attempt_run_lease(job);
    t->pos = awa_attempt_position(job);
    t->enqueued = awa_attempt_enqueued_ms(job);
    t->deadline = awa_attempt_deadline_ms(job);
    atomic_store(&t->done, true);
    return AWA_COMPLETE;
}

static void
expect_told(PGconn *db, const char *insert, const char *want)
{
    static struct told t;
    const awa_kind kind = { .handler = take_down, .userdata = &t };
    awa_worker *w;

    atomic_store(&t.done, false);
    test_exec(db, insert);
    w = test_start(db, .kinds = &kind, .nkinds = 1);
    test_wait_for(atomic_load(&t.done), 10000);
    assert_string_equal(t.text, want);
    test_free_worker(w);
    assert_string_equal(
        test_rows(db,
                  test_format("SELECT e.pos = %" PRId64 ", abs(awa.to_ms(e.enqueued_at) - %" PRId64
                              ") <= 1, c.claim_id = %" PRId64 ", CASE WHEN %" PRId64
                              " = 0 THEN c.deadline_at IS NULL ELSE"
                              " abs(awa.to_ms(c.deadline_at) - %" PRId64 ") <= 1 END"
                              " FROM awa.ready_entries AS e JOIN awa.claims AS c ON"
                              " c.positions @> e.pos WHERE e.id = %" PRId64,
                              t.pos, t.enqueued, t.lease, t.deadline, t.deadline, t.id)),
        "t|t|t|t");
}

static void
a_handler_is_told_all_about_its_job(void **state)
{
    PGconn *db = *state;

    expect_told(db,
                "SELECT awa.insert_job('k', '{\"x\": [1, \"ä\"]}', p_max_attempts => 7, p_tags =>"
                " '{eu,\"a \\\"b\\\"\"}', p_metadata => '{\"m\": 1}')",
                "k|default|{\"x\": [1, \"ä\"]}|16|{\"m\": 1}|1|7|2|eu|a \"b\"|end|0");
    test_exec(db, "SELECT awa.set_queue('default', p_deadline => '0 s')");
    expect_told(db, "SELECT awa.insert_job('k', '1', p_tags => '{}')",
                "k|default|1|1|-|1|25|0|-|-|end|0");
    expect_told(db, "SELECT awa.insert_job('k', 'null', p_tags => '{\"\"}')",
                "k|default|null|4|-|1|25|1||-|end|0");
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_WORKER(a_handler_decides_what_becomes_of_its_job),
        TEST_WORKER(any_words_are_kept_with_the_job),
        TEST_WORKER(what_a_job_cannot_keep_is_refused),
        TEST_WORKER(a_handler_asks_for_jobs_that_follow),
        TEST_WORKER(a_job_whose_words_are_refused_ends_without_them),
        TEST_WORKER(a_job_whose_end_is_refused_altogether_runs_again),
        TEST_WORKER(a_job_is_tried_until_its_attempts_are_used_up),
        TEST_WORKER(an_attempt_that_gives_up_at_its_deadline_has_expired),
        TEST_WORKER(an_attempt_that_is_done_at_its_deadline_is_done),
        TEST_WORKER(each_kind_of_each_queue_goes_to_its_handler),
        TEST_WORKER(a_kind_without_a_handler_is_left_to_others),
        TEST_WORKER(a_handler_is_told_all_about_its_job),
    };

    return TEST_RUN(tests);
}
