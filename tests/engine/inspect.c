/* SPDX-License-Identifier: MIT */
/* The reading half of awa.h: one JSON text for each question; and settings. */
#include "test_jobs.h"

#include <inttypes.h>
#include <string.h>

/* A value in a JSON text, by a path of SQL: {0,id}. Frees the text. */
static const char *
value(PGconn *db, char *json, const char *path)
{
    AUTO(free) char *text = json;
    AUTO(free) char *quoted = PQescapeLiteral(db, text, strlen(text));

    return test_text(db,
                     test_format("SELECT coalesce(%s::jsonb #>> '%s', '(null)')", quoted, path));
}

#define must(call)                       \
    do {                                 \
        if ((call) != AWA_OK)            \
            fail_msg("%s", err.message); \
    } while (0)

static void
one_job_is_read_explained_and_dumped(void **state)
{
    PGconn *db = *state;
    int64_t id = test_insert(db);
    char *json;
    awa_error err;

    must(awa_job_get(db, id, &json, &err));
    assert_string_equal(value(db, json, "{state}"), "available");
    must(awa_job_explain(db, id, &json, &err));
    assert_string_equal(value(db, json, "{0,finding}"), "no worker serves queue default");
    must(awa_job_dump(db, id, &json, &err));
    assert_string_equal(value(db, json, "{place}"), "ready_entries");
}

static void
a_job_that_is_not_known_is_told(void **state)
{
    static awa_status (*const calls[])(
        PGconn *, int64_t, char **, awa_error *) = { awa_job_get, awa_job_explain, awa_job_dump };
    char *json = NULL;
    awa_error err;

    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        assert_int_equal(calls[i](*state, 999, &json, &err), AWA_ENOTFOUND);
        assert_non_null(strstr(err.message, "job 999: not known"));
        assert_null(json);
        assert_int_equal(calls[i](NULL, 999, &json, &err), AWA_EINVAL);
        assert_int_equal(calls[i](*state, 999, NULL, &err), AWA_EINVAL);
    }
}

/* The ids on all pages of jobs of kind k, each of three; one more job comes in between. */
static void
pages_follow_each_other_while_jobs_come_and_go(void **state)
{
    PGconn *db = *state;
    AUTO(free) char *next = NULL;
    char *json;
    int pages = 0, seen = 0;
    awa_error err;

    for (int i = 0; i < 7; i++)
        (void)test_insert(db);
    do {
        AUTO(free) char *cursor = TAKE(next);

        must(awa_jobs_list(db, AWA_LIST(.kind = "k", .limit = 3, .before = cursor), &json, &next,
                           &err));
        seen += test_int(db, test_format("SELECT jsonb_array_length(%s::jsonb)",
                                         PQescapeLiteral(db, json, strlen(json))));
        free(json);
        (void)test_insert(db);
        pages++;
    } while (next != NULL);
    assert_int_equal(pages, 3);
    assert_int_equal(seen, 7);
}

static void
a_list_has_what_its_filters_say(void **state)
{
    PGconn *db = *state;
    char *json;
    awa_error err;

    test_exec(db, "SELECT awa.insert_job('a', p_queue => 'q', p_tags => '{x}')");
    test_exec(db, "SELECT awa.insert_job('b', p_queue => 'q', p_delay => '1 h')");
    must(awa_jobs_list(db, NULL, &json, NULL, &err));
    assert_string_equal(value(db, json, "{1,kind}"), "a");
    must(awa_jobs_list(db, AWA_LIST(.state = "scheduled", .queue = "q"), &json, NULL, &err));
    assert_string_equal(value(db, json, "{0,kind}"), "b");
    must(awa_jobs_list(db, AWA_LIST(.tag = "x"), &json, NULL, &err));
    assert_string_equal(value(db, json, "{0,kind}"), "a");
    must(awa_jobs_list(db, AWA_LIST(.kind = "none"), &json, NULL, &err));
    assert_string_equal(json, "[]");
    free(json);
}

static void
a_list_refuses_what_means_nothing(void **state)
{
    const awa_list_options *jobs[] = {
        AWA_LIST(.limit = 10001),  AWA_LIST(.limit = -1),     AWA_LIST(.reason = "manual"),
        AWA_LIST(.before = "1-2"), AWA_LIST(.before = "1;2"), AWA_LIST(.before = ""),
        AWA_LIST(.from_ms = 1),    AWA_LIST(.state = "odd"),  &(awa_list_options){ .size = 3 },
    };
    const awa_list_options *dead[] = {
        AWA_LIST(.state = "failed"),
        AWA_LIST(.before = "12"),
        AWA_LIST(.before = "1-"),
        AWA_LIST(.before = "99999999999999999999-1"),
    };
    char *json = NULL;
    awa_error err;

    for (size_t i = 0; i < sizeof jobs / sizeof jobs[0]; i++)
        assert_int_equal(awa_jobs_list(*state, jobs[i], &json, NULL, &err), AWA_EINVAL);
    for (size_t i = 0; i < sizeof dead / sizeof dead[0]; i++)
        assert_int_equal(awa_dlq_list(*state, dead[i], &json, NULL, &err), AWA_EINVAL);
    assert_null(json);
}

static void
dead_letters_are_listed_by_page(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);
    AUTO(free) char *next = NULL;
    char *json;
    awa_error err;

    for (int i = 0; i < 3; i++)
        (void)test_insert(db);
    test_end(worker, "default", 3, "failed");
    test_exec(db, "SELECT awa.move_to_dlq(id) FROM awa.jobs WHERE state = 'failed'");
    must(awa_dlq_depth(db, NULL, &json, &err));
    assert_string_equal(value(db, json, "{0,depth}"), "3");
    must(awa_dlq_list(db, AWA_LIST(.reason = "manual", .limit = 2), &json, &next, &err));
    assert_non_null(next);
    assert_string_equal(value(db, json, "{1,cursor}"), next);
    must(awa_dlq_list(db, AWA_LIST(.limit = 2, .before = next), &json, NULL, &err));
    assert_string_equal(value(db, json, "{1}"), "(null)");
    must(awa_dlq_list(db, AWA_LIST(.to_ms = 1), &json, NULL, &err));
    assert_string_equal(json, "[]");
    free(json);
}

static void
counts_and_gauges_are_of_one_queue_or_of_all(void **state)
{
    PGconn *db = *state;
    char *json = NULL;
    awa_error err;

    must(awa_queue_counts(db, NULL, &json, &err));
    assert_string_equal(json, "[]");
    free(TAKE(json));
    assert_int_equal(awa_queue_counts(db, "q", &json, &err), AWA_ENOTFOUND);
    assert_string_equal(err.message, "queue q: not known");
    assert_int_equal(awa_queue_gauges(db, "q", &json, &err), AWA_ENOTFOUND);
    (void)test_insert(db);
    must(awa_queue_counts(db, "default", &json, &err));
    assert_string_equal(value(db, json, "{0,available}"), "1");
    must(awa_queue_gauges(db, NULL, &json, &err));
    assert_string_equal(value(db, json, "{queues,0,available}"), "1");
}

static void
the_whole_is_read(void **state)
{
    PGconn *db = *state;
    int64_t ms, now = test_int(db, "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint");
    char *json;
    int well = 7;
    awa_error err;

    must(awa_health(db, &well, &json, &err));
    assert_int_equal(well, 0); /* there is no worker */
    assert_string_equal(value(db, json, "{ok}"), "false");
    must(awa_health(db, NULL, NULL, &err));
    must(awa_storage_status(db, &json, &err));
    assert_string_equal(value(db, json, "{dead_letters}"), "0");
    must(awa_queues_list(db, &json, &err));
    assert_string_equal(json, "[]");
    free(json);
    must(awa_server_time(db, &ms, &err));
    assert_true(ms >= now && ms < now + 60000);
}

static void
workers_are_listed_and_ended_ones_if_asked_for(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);
    char *json;
    awa_error err;

    must(awa_workers_list(db, 0, &json, &err));
    assert_string_equal(value(db, json, "{0,worker_id}"), "7");
    test_exec(worker, "SELECT awa.deregister_worker(7)");
    must(awa_workers_list(db, 0, &json, &err));
    assert_string_equal(json, "[]");
    free(json);
    must(awa_workers_list(db, 1, &json, &err));
    assert_string_equal(value(db, json, "{0,worker_id}"), "7");
}

static void
a_queue_has_settings_of_its_own_or_the_common_ones(void **state)
{
    PGconn *db = *state;
    char *json;
    awa_error err;

    must(awa_defaults_set(db, AWA_SETTINGS(.deadline_ms = 5000, .dlq = 1), &err));
    must(awa_defaults_get(db, &json, &err));
    assert_string_equal(value(db, json, "{deadline_ms}"), "5000");
    must(awa_queue_set(db, "q", AWA_SETTINGS(.deadline_ms = AWA_SETTING_NONE, .enqueue_shards = 3),
                       &err));
    must(awa_queues_list(db, &json, &err));
    assert_string_equal(
        test_text(db, "SELECT deadline || ' ' || enqueue_shards || ' ' || dlq_enabled FROM"
                      " awa.queue_list WHERE queue = 'q'"),
        "00:00:00 3 true");
    assert_string_equal(value(db, json, "{0,deadline_ms}"), "0");
    must(awa_queue_set(db, "q",
                       AWA_SETTINGS(.deadline_ms = AWA_SETTING_DEFAULT, .dlq = AWA_SETTING_NONE,
                                    .enqueue_shards = AWA_SETTING_DEFAULT),
                       &err));
    assert_string_equal(
        test_text(db, "SELECT deadline || ' ' || enqueue_shards || ' ' || dlq_enabled FROM"
                      " awa.queue_list WHERE queue = 'q'"),
        "00:00:05 1 false");
}

static void
settings_that_cannot_be_are_refused(void **state)
{
    PGconn *db = *state;
    awa_error err;

    assert_int_equal(awa_queue_set(db, "q", AWA_SETTINGS(.enqueue_shards = 65), &err), AWA_EINVAL);
    assert_non_null(strstr(err.message, "enqueue_shards: want 1 to 64, got 65"));
    assert_int_equal(awa_queue_set(db, "q", AWA_SETTINGS(.deadline_ms = -3), &err), AWA_EINVAL);
    assert_int_equal(awa_queue_set(db, "q", AWA_SETTINGS(.dlq = 2), &err), AWA_EINVAL);
    assert_int_equal(awa_queue_set(db, NULL, AWA_SETTINGS(.dlq = 1), &err), AWA_EINVAL);
    assert_int_equal(awa_queue_set(db, "q", NULL, &err), AWA_EINVAL);
    assert_int_equal(awa_defaults_set(db, AWA_SETTINGS(.enqueue_shards = 2), &err), AWA_EINVAL);
    assert_int_equal(awa_defaults_set(db, AWA_SETTINGS(.dlq = AWA_SETTING_DEFAULT), &err),
                     AWA_EINVAL);
}

static void
a_queue_is_drained_and_removed(void **state)
{
    PGconn *db = *state;
    int64_t n;
    awa_error err;

    assert_int_equal(awa_queue_remove(db, "default", &err), AWA_ENOTFOUND);
    for (int i = 0; i < 3; i++)
        (void)test_insert(db);
    assert_int_equal(awa_queue_remove(db, "default", &err), AWA_EBUSY);
    assert_int_equal(awa_queue_drain(db, "default", 0, &n, &err), AWA_EINVAL);
    must(awa_queue_drain(db, "default", 2, &n, &err));
    assert_int_equal(n, 2);
    must(awa_queue_drain(db, "default", 2, &n, &err));
    assert_int_equal(n, 1);
    must(awa_queue_remove(db, "default", &err));
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_DB(one_job_is_read_explained_and_dumped),
        TEST_DB(a_job_that_is_not_known_is_told),
        TEST_DB(pages_follow_each_other_while_jobs_come_and_go),
        TEST_DB(a_list_has_what_its_filters_say),
        TEST_DB(a_list_refuses_what_means_nothing),
        TEST_DB(dead_letters_are_listed_by_page),
        TEST_DB(counts_and_gauges_are_of_one_queue_or_of_all),
        TEST_DB(the_whole_is_read),
        TEST_DB(workers_are_listed_and_ended_ones_if_asked_for),
        TEST_DB(a_queue_has_settings_of_its_own_or_the_common_ones),
        TEST_DB(settings_that_cannot_be_are_refused),
        TEST_DB(a_queue_is_drained_and_removed),
    };

    return TEST_RUN(tests);
}
