/* SPDX-License-Identifier: MIT */
#include "test.h"

#include <math.h>
#include <string.h>

#include "bench/metric.h"
#include "bench/payload.h"
#include "bench/plan.h"
#include "bench/report.h"
#include "bench/samples.h"
#include "bench/tally.h"

/* ---- Samples ----------------------------------------------------------------------------- */

static void
a_percentile_is_the_smallest_sample_that_enough_others_do_not_exceed(void **state)
{
    static const struct {
        int n; /* samples of 1, 2, ... n ms */
        double share, want_ms;
    } cases[] = {
        { 1, 0, 1 },     { 1, 50, 1 },    { 1, 100, 1 },   { 2, 50, 1 },      { 2, 51, 2 },
        { 100, 50, 50 }, { 100, 95, 95 }, { 100, 99, 99 }, { 100, 100, 100 }, { 10, 99, 10 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        AUTO(samples) struct samples s = { 0 };
        double got;

        for (int k = cases[i].n; k > 0; k--)
            samples_add(&s, k * 1000);
        samples_sort(&s);
        got = samples_percentile_ms(&s, cases[i].share);
        if (got != cases[i].want_ms)
            fail_msg("p%g of %d: want %g, got %g", cases[i].share, cases[i].n, cases[i].want_ms,
                     got);
    }
}

static void
without_samples_there_is_no_percentile(void **state)
{
    AUTO(samples) struct samples s = { 0 };

    (void)state;
    samples_sort(&s);
    assert_true(isnan(samples_percentile_ms(&s, 50)));
}

static void
times_out_of_range_are_the_nearest_in_range(void **state)
{
    AUTO(samples) struct samples s = { 0 };

    (void)state;
    samples_add(&s, -5);
    samples_add(&s, INT64_MAX);
    samples_sort(&s);
    assert_int_equal(s.us[0], 0);
    assert_true(s.us[1] == UINT32_MAX);
}

/* ---- Payload ----------------------------------------------------------------------------- */

static void
a_payload_has_its_size_and_carries_its_number(void **state)
{
    static const size_t sizes[] = { PAYLOAD_MIN, PAYLOAD_MIN + 1, 75, 5000 };
    static const int64_t numbers[] = { 0, 7, 123456, 899999999999 };

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (size_t k = 0; k < sizeof numbers / sizeof numbers[0]; k++) {
            AUTO(free) char *payload = malloc(sizes[i]);
            int64_t got = -1;

            assert_non_null(payload);
            payload_init(payload, sizes[i]);
            payload_number(payload, numbers[k]);
            assert_int_equal(payload[sizes[i] - 1], '}');
            assert_true(payload_read(payload, sizes[i], &got));
            assert_int_equal(got, numbers[k]);
        }
}

static void
what_is_no_payload_is_not_read_as_one(void **state)
{
    static const char *const texts[] = {
        "",
        "{}",
        "{\"n\": 100000000000, \"x\": \"",
        "{\"n\": 000000000001, \"x\": \"xx\"}",
        "{\"n\": 10000000000x, \"x\": \"xx\"}",
        "{\"m\": 100000000000, \"x\": \"xx\"}",
        "{\"n\":100000000000,\"x\":\"xxxxx\"}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        int64_t number;

        if (payload_read(texts[i], strlen(texts[i]), &number))
            fail_msg("'%s' was read", texts[i]);
    }
}

/* ---- Plan -------------------------------------------------------------------------------- */

static void
numbers_have_limits(void **state)
{
    static const struct {
        const char *name;
        int64_t number;
        awa_status want;
    } cases[] = {
        { "producers", 1, AWA_OK },
        { "producers", 0, AWA_EINVAL },
        { "payload-bytes", 27, AWA_EINVAL },
        { "payload-bytes", 28, AWA_OK },
        { "shards", 64, AWA_OK },
        { "shards", 65, AWA_EINVAL },
        { "handler-us", 0, AWA_OK },
        { "claim-batch", 10001, AWA_EINVAL },
        { "nothing", 1, AWA_EINVAL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct plan plan = { 0 };
        awa_error err;

        if (plan_set(&plan, cases[i].name, cases[i].number, &err) != cases[i].want)
            fail_msg("--%s %lld: want %d", cases[i].name, (long long)cases[i].number,
                     cases[i].want);
        if (cases[i].want == AWA_OK)
            assert_int_equal(plan_get(&plan, cases[i].name), cases[i].number);
    }
}

static void
words_are_doors_and_numbers(void **state)
{
    struct plan plan = { 0 };
    awa_error err;

    (void)state;
    assert_int_equal(plan_set_door(&plan, "one", &err), AWA_OK);
    assert_int_equal(plan.door, DOOR_ONE);
    assert_int_equal(plan_set_door(&plan, "back", &err), AWA_EINVAL);
    assert_int_equal(plan_set_prefetch(&plan, "-1", &err), AWA_OK);
    assert_int_equal(plan.prefetch, -1);
    assert_int_equal(plan_set_prefetch(&plan, "", &err), AWA_EINVAL);
    assert_int_equal(plan_set_prefetch(&plan, "1x", &err), AWA_EINVAL);
    assert_int_equal(plan_set_prefetch(&plan, "-2", &err), AWA_EINVAL);
}

static void
the_usual_batch_fits_the_rate_and_the_depth(void **state)
{
    static const struct {
        struct plan given;
        awa_status want;
        int64_t batch, depth;
    } cases[] = {
        { { 0 }, AWA_OK, 1000, 20000 },
        { { .batch = 30000 }, AWA_OK, 30000, 30000 },
        { { .rate = 20 }, AWA_OK, 1, 0 },
        { { .rate = 5000 }, AWA_OK, 50, 0 },
        { { .rate = 1000000 }, AWA_OK, 1000, 0 },
        { { .depth = 1 }, AWA_OK, 1, 1 },
        { { .depth = 100 }, AWA_OK, 25, 100 },
        { { .door = DOOR_ONE }, AWA_OK, 1, 20000 },
        { { .depth = 100, .batch = 101 }, AWA_EINVAL, 0, 0 },
        { { .depth = 100, .rate = 1 }, AWA_EINVAL, 0, 0 },
        { { .batch = 100000, .payload_bytes = 1000000 }, AWA_EINVAL, 0, 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct plan plan = cases[i].given;
        awa_error err;

        plan.producers = 2;
        if (plan_complete(&plan, &err) != cases[i].want)
            fail_msg("case %zu: want status %d", i, cases[i].want);
        if (cases[i].want == AWA_OK &&
            (plan.batch != cases[i].batch || plan.depth != cases[i].depth))
            fail_msg("case %zu: got batch %lld, depth %lld", i, (long long)plan.batch,
                     (long long)plan.depth);
    }
}

/* ---- Tally ------------------------------------------------------------------------------- */

static void
jobs_that_never_ran_are_lost_and_runs_too_many_are_duplicates(void **state)
{
    struct tally t = { 0 };
    struct tally_balance b;
    int64_t first;
    awa_error err;

    (void)state;
    test_ok(tally_init(&t, &err), &err);
    assert_int_equal(tally_take(&t, 5, 0, 0, &first), 5);
    assert_int_equal(first, 0);
    tally_committed(&t, 0, 4); /* 4 was rolled back */
    tally_ran(&t, 0, 10);
    tally_ran(&t, 1, 10);
    tally_ran(&t, 1, 20);
    tally_ran(&t, 1, 30);
    tally_ran(&t, 4, 30);
    b = tally_balance(&t);
    assert_int_equal(b.lost, 2);       /* 2 and 3 */
    assert_int_equal(b.duplicated, 3); /* twice 1, and 4 */
    tally_done(&t);
}

static void
times_are_those_of_jobs_sent_in_the_window(void **state)
{
    AUTO(samples) struct samples pickup = { 0 };
    AUTO(samples) struct samples e2e = { 0 };
    struct tally t = { 0 };
    int64_t first;
    awa_error err;

    (void)state;
    test_ok(tally_init(&t, &err), &err);
    assert_int_equal(tally_take(&t, 3, 0, 0, &first), 3);
    for (int64_t i = 0; i < 3; i++) {
        tally_sent(&t, i, 1, 1000 * i);
        tally_ran(&t, i, 1000 * i + 5);
    }
    tally_ended(&t, 1, 1020);
    tally_latencies(&t, 1000, 3000, &pickup, &e2e);
    assert_int_equal(pickup.n, 2);
    assert_int_equal(pickup.us[0], 5);
    assert_int_equal(e2e.n, 1); /* the other one has not ended */
    assert_int_equal(e2e.us[0], 20);
    tally_done(&t);
}

static void
a_limit_and_an_end_are_kept(void **state)
{
    struct tally t = { 0 };
    int64_t first;
    awa_error err;

    (void)state;
    test_ok(tally_init(&t, &err), &err);
    assert_int_equal(tally_take(&t, 4, 6, 0, &first), 4);
    assert_int_equal(tally_take(&t, 4, 6, 0, &first), 2);
    assert_int_equal(first, 4);
    assert_int_equal(tally_take(&t, 4, 6, 0, &first), 0);
    assert_int_equal(tally_take(&t, 4, 0, 10, &first), 4); /* just fits */
    tally_close(&t);
    assert_int_equal(tally_take(&t, 4, 0, 10, &first), 0); /* does not wait */
    tally_done(&t);
}

static void *
take_one(void *arg)
{
    int64_t first;

    assert_int_equal(tally_take(arg, 1, 0, 1, &first), 1);
    return NULL;
}

static void
a_durable_end_makes_room_for_the_next_job(void **state)
{
    struct tally t = { 0 };
    pthread_t thread;
    int64_t first;
    awa_error err;

    (void)state;
    test_ok(tally_init(&t, &err), &err);
    assert_int_equal(tally_take(&t, 1, 0, 1, &first), 1);
    assert_int_equal(pthread_create(&thread, NULL, take_one, &t), 0);
    tally_durable(&t, 1);
    pthread_join(thread, NULL);
    assert_int_equal(t.issued, 2);
    tally_done(&t);
}

/* ---- Metrics, report --------------------------------------------------------------------- */

static void
several_rounds_become_one_number(void **state)
{
    static const struct metric sum = { NULL, "x", 0, OVERALL_SUM };
    static const struct metric worst = { NULL, "x", 0, OVERALL_WORST };
    double values[] = { 3, NAN, 1, 10 };

    (void)state;
    assert_true(metric_min(values, 4) == 1);
    assert_true(metric_max(values, 4) == 10);
    assert_true(metric_median(values, 4) == 3);
    assert_true(metric_overall(&worst, values, 4) == 10);
    assert_true(metric_overall(&sum, (double[]){ 1, 0, 2 }, 3) == 3);
    assert_true(metric_median((double[]){ 4, 2 }, 2) == 3);
    assert_true(isnan(metric_median((double[]){ NAN, NAN }, 2)));
    assert_true(isnan(metric_max((double[]){ NAN }, 1)));
}

static void
what_was_not_measured_is_null(void **state)
{
    static const struct metric metrics[] = {
        { NULL, "a", 0, OVERALL_MEDIAN },
        { "g", "b", 2, OVERALL_MEDIAN },
        { "g", "c", 0, OVERALL_MEDIAN },
        { "h", "d", 0, OVERALL_MEDIAN },
    };
    static const double values[] = { 1, 2.5, NAN, INFINITY };
    AUTO(pgresult) PGresult *server = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    AUTO(buffer) struct buffer out = { 0 };
    const struct report report = { .mode = "m",
                                   .options = "{}",
                                   .server = server,
                                   .metrics = metrics,
                                   .n = 4,
                                   .rounds = 1,
                                   .overall = values,
                                   .min = values,
                                   .max = values };

    (void)state;
    report_json(&report, &out);
    assert_string_equal(out.data, "{\"mode\": \"m\", \"rounds\": 1, \"a\": 1, "
                                  "\"g\": {\"b\": 2.50, \"c\": null}, \"h\": {\"d\": null}, "
                                  "\"options\": {}, \"server\": {}}\n");
}

static void
the_table_shows_what_was_measured(void **state)
{
    static const struct metric metrics[] = {
        { NULL, "a", 0, OVERALL_MEDIAN },
        { "g", "b", 2, OVERALL_MEDIAN },
        { "g", "c", 0, OVERALL_MEDIAN },
    };
    static const double values[] = { 1, NAN, 3 };
    const struct report report = {
        .metrics = metrics, .n = 3, .rounds = 2, .overall = values, .min = values, .max = values
    };
    AUTO(pgresult) PGresult *table = report_table(&report);

    (void)state;
    assert_non_null(table);
    assert_int_equal(PQnfields(table), 4);
    assert_int_equal(PQntuples(table), 2);
    assert_string_equal(PQgetvalue(table, 1, 0), "g c");
    assert_string_equal(PQgetvalue(table, 1, 3), "3");
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(a_percentile_is_the_smallest_sample_that_enough_others_do_not_exceed),
        TEST(without_samples_there_is_no_percentile),
        TEST(times_out_of_range_are_the_nearest_in_range),
        TEST(a_payload_has_its_size_and_carries_its_number),
        TEST(what_is_no_payload_is_not_read_as_one),
        TEST(numbers_have_limits),
        TEST(words_are_doors_and_numbers),
        TEST(the_usual_batch_fits_the_rate_and_the_depth),
        TEST(jobs_that_never_ran_are_lost_and_runs_too_many_are_duplicates),
        TEST(times_are_those_of_jobs_sent_in_the_window),
        TEST(a_limit_and_an_end_are_kept),
        TEST(a_durable_end_makes_room_for_the_next_job),
        TEST(several_rounds_become_one_number),
        TEST(what_was_not_measured_is_null),
        TEST(the_table_shows_what_was_measured),
    };

    return TEST_RUN(tests);
}
