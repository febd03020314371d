/* SPDX-License-Identifier: MIT */
/* Positions and ids, drawn one by one and in blocks by many at once, are handed out once. */
#include "test_jobs.h"

#include <inttypes.h>
#include <pthread.h>

enum { DRAWERS = 8, ROUNDS = 120 };

struct drawer {
    pthread_t thread;
    const char *dsn;
    int number;
    int64_t drawn;
    awa_status status;
    awa_error error;
};

static awa_status
draw_blocks(PGconn *conn, struct drawer *d, int n)
{
    awa_job_options jobs[40];
    int64_t ids[40];
    awa_status s;

    for (int i = 0; i < n; i++)
        jobs[i] = (awa_job_options){ .size = sizeof jobs[0], .kind = "block" };
    s = d->number % 2 == 0 ? awa_jobs_insert(conn, jobs, (size_t)n, ids, &d->error)
                           : awa_jobs_copy(conn, jobs, (size_t)n, ids, &d->error);
    for (int i = 1; s == AWA_OK && i < n; i++)
        if (ids[i] != ids[0] + i)
            return awa__fail(&d->error, AWA_EDB, "a block of ids has a hole");
    return s;
}

static void *
draw(void *arg)
{
    struct drawer *d = arg;
    AUTO(pgconn) PGconn *conn = NULL;

    d->status = awa_connect(d->dsn, &conn, &d->error);
    for (int round = 0; d->status == AWA_OK && round < ROUNDS; round++) {
        int n = (d->number + round) % 3 == 0 ? 2 + (round * 7) % 38 : 1;

        d->status = n > 1 ? draw_blocks(conn, d, n)
                          : awa_job_insert(conn, AWA_JOB(.kind = "one"), NULL, &d->error);
        d->drawn += n;
    }
    return NULL;
}

static int64_t
run_drawers(PGconn *db)
{
    static struct drawer drawers[DRAWERS];
    int64_t drawn = 0;

    for (int i = 0; i < DRAWERS; i++) {
        drawers[i] = (struct drawer){ .dsn = test_dsn(db, "bulk"), .number = i };
        assert_int_equal(pthread_create(&drawers[i].thread, NULL, draw, &drawers[i]), 0);
    }
    for (int i = 0; i < DRAWERS; i++) {
        pthread_join(drawers[i].thread, NULL);
        test_ok(drawers[i].status, &drawers[i].error);
        drawn += drawers[i].drawn;
    }
    return drawn;
}

static void
no_number_is_handed_out_twice(void **state)
{
    PGconn *db = *state;
    int64_t drawn;

    test_lane(db, 2);
    drawn = run_drawers(db);
    assert_string_equal(test_rows(db, "SELECT count(*), count(DISTINCT pos), count(DISTINCT id),"
                                      " max(pos) - min(pos) + 1, max(id) - min(id) + 1"
                                      " FROM awa.ready_entries"),
                        test_format("%" PRId64 "|%" PRId64 "|%" PRId64 "|%" PRId64 "|%" PRId64,
                                    drawn, drawn, drawn, drawn, drawn));
}

static void
a_lane_is_claimed_in_the_order_of_its_positions(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);
    int64_t drawn, last = 0, claimed = 0;

    test_lane(db, 2);
    drawn = run_drawers(db);
    while (claimed < drawn) {
        long long n, low, high, ups;

        assert_int_equal(
            sscanf(test_rows(worker, "SELECT count(*), min(pos), max(pos), count(*) FILTER"
                                     " (WHERE up) FROM (SELECT pos, pos > lag(pos) OVER () AS"
                                     " up FROM awa.claim_jobs(7, 'default', 100)) AS c"),
                   "%lld|%lld|%lld|%lld", &n, &low, &high, &ups),
            4);
        assert_true(n > 0 && ups == n - 1 && low > last);
        last = high;
        claimed += n;
    }
    assert_int_equal(claimed, drawn);
}

/* A lock that a session keeps by mistake would hold up every block of that lane, for ever. */
static void
a_draw_that_is_cut_off_leaves_no_lock(void **state)
{
    PGconn *db = *state, *thief = test_connect(db, NULL);
    PGconn *producer = test_connect(db, "producer");

    test_lane(db, 2);
    test_exec(thief, "BEGIN; ALTER SEQUENCE awa.lane_1 CACHE 1");
    test_exec(producer, "SET statement_timeout = '100ms'");
    test_expect_error(producer, "57014", "SELECT awa.insert_job('k')");
    test_exec(thief, "ROLLBACK");
    assert_int_equal(test_int(db, test_format("SELECT count(*) FROM pg_locks WHERE locktype ="
                                              " 'advisory' AND pid = %d",
                                              PQbackendPID(producer))),
                     0);
    test_exec(db, "SELECT awa.insert_jobs('{a,b,c}')");
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_DB(no_number_is_handed_out_twice),
        TEST_DB(a_lane_is_claimed_in_the_order_of_its_positions),
        TEST_DB(a_draw_that_is_cut_off_leaves_no_lock),
    };

    return TEST_RUN(tests);
}
