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
    assert_string_equal(test_rows(db, "SELECT count(*), count(DISTINCT pos), count(DISTINCT id)"
                                      " FROM awa.ready_entries"),
                        test_format("%" PRId64 "|%" PRId64 "|%" PRId64, drawn, drawn, drawn));
    /* some are dropped beside blocks */
    assert_string_equal(
        test_rows(db, test_format("SELECT max(pos) - min(pos) < 2 * %" PRId64
                                  ", max(id) - min(id) < 2 * %" PRId64 " FROM awa.ready_entries",
                                  drawn, drawn)),
        "t|t");
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

/* ---- In a chosen order ------------------------------------------------------------------- */

/* What follows a draw: every number was handed out once. */
static void
expect_distinct(PGconn *db, int64_t drawn)
{
    assert_string_equal(test_rows(db, "SELECT count(*), count(DISTINCT pos), count(DISTINCT id)"
                                      " FROM awa.ready_entries"),
                        test_format("%" PRId64 "|%" PRId64 "|%" PRId64, drawn, drawn, drawn));
}

/* Somebody has begun a block, and not moved the sequence over it yet. */
static PGconn *
stop_in_a_block(PGconn *db)
{
    PGconn *first = test_connect(db, "producer");

    test_lane(db, 2);
    test_gate_named(db, "draw_block", "PERFORM setval", "first");
    test_exec(first, "SET test.gate = 'first'");
    test_gate_shut(db);
    test_send(first, "SELECT awa.insert_jobs('{a,b,c}')");
    test_wait_at_gate(db, first);
    return first;
}

/* Whoever draws meanwhile, one number or many, waits for its end. */
static void
draw_beside_a_block(PGconn *db, const char *sql, int64_t drawn)
{
    PGconn *first = stop_in_a_block(db), *second = test_connect(db, "producer");
    bool blocked;

    test_send(second, sql);
    blocked = test_is_blocked(db, second);
    test_gate_open(db);
    test_answer(first);
    test_answer(second);
    expect_distinct(db, 3 + drawn);
    assert_true(blocked);
}

static void
a_number_is_not_taken_from_a_block_that_is_being_drawn(void **state)
{
    draw_beside_a_block(*state, "SELECT awa.insert_job('k')", 1);
}

static void
two_blocks_are_drawn_one_after_the_other(void **state)
{
    draw_beside_a_block(*state, "SELECT awa.insert_jobs('{d,e,f,g}')", 4);
}

/* Producers keep their transactions open for as long as they like. */
static void
a_block_that_was_drawn_holds_up_nobody(void **state)
{
    PGconn *db = *state, *first = test_connect(db, "producer");
    PGconn *second = test_connect(db, "producer");

    test_lane(db, 2);
    test_exec(first, "BEGIN; SELECT awa.insert_jobs('{a,b,c}')");
    test_exec(second, "SET statement_timeout = '5s'");
    test_exec(second, "SELECT awa.insert_jobs('{d,e}')");
    test_exec(second, "SELECT awa.insert_job('f')");
    test_exec(first, "COMMIT");
    expect_distinct(db, 6);
}

/*
 * A whole block comes between the two looks of a single draw, around its number: in place of the
 * sequence it draws from, a function that does both the first time.
 */
static void
a_number_is_not_taken_from_a_block_that_came_and_went(void **state)
{
    PGconn *db = *state;

    test_exec(db, "CREATE SCHEMA test; CREATE SEQUENCE test.s; CREATE SEQUENCE test.calls;"
                  "CREATE FUNCTION test.draw(p_sequence regclass) RETURNS bigint LANGUAGE plpgsql"
                  " AS $$ DECLARE v_number bigint; BEGIN"
                  " IF nextval('test.calls') > 1 THEN RETURN nextval(p_sequence); END IF;"
                  " PERFORM nextval('awa.block_draws'), nextval(p_sequence);"
                  " v_number := nextval(p_sequence);"
                  " PERFORM setval(p_sequence, 10), nextval('awa.block_draws');"
                  " RETURN v_number; END $$");
    test_exec(db,
              "DO $$ DECLARE v_body text := pg_get_functiondef('awa.draw_one'::regproc);"
              " BEGIN ASSERT v_body LIKE '%nextval(p_sequence)%';"
              " EXECUTE replace(v_body, 'nextval(p_sequence)', 'test.draw(p_sequence)'); END $$");
    assert_int_equal(test_int(db, "SELECT awa.draw_one('test.s')"), 11);
    assert_int_equal(test_int(db, "SELECT awa.draw_one('test.s')"), 12);
}

/* A lock that is kept by mistake, or a block that is never ended, would hold up all others. */
static void
a_draw_that_is_cut_off_leaves_nothing_behind(void **state)
{
    static const char *const draws[] = { "SELECT awa.insert_job('k')",
                                         "SELECT awa.insert_jobs('{a,b,c}')" };
    PGconn *db = *state, *thief = test_connect(db, NULL);
    PGconn *producer = test_connect(db, "producer");

    test_lane(db, 2);
    for (int i = 0; i < 2; i++) {
        test_exec(thief, "BEGIN; ALTER SEQUENCE awa.numbers_1 CACHE 1");
        test_exec(producer, "SET statement_timeout = '100ms'");
        test_expect_error(producer, "57014", draws[i]);
        test_exec(thief, "ROLLBACK");
        test_exec(producer, "SET statement_timeout = '10s'");
        assert_int_equal(test_int(db, test_format("SELECT count(*) FROM pg_locks WHERE (locktype ="
                                                  " 'advisory' OR relation ="
                                                  " 'awa.draw_lock'::regclass) AND pid = %d",
                                                  PQbackendPID(producer))),
                         0);
        assert_string_equal(
            test_text(db, "SELECT awa.block_is_drawn(pg_sequence_last_value('awa.block_draws'))"),
            i == 1 ? "t" : "f");
        test_exec(producer, draws[0]);
        test_exec(producer, draws[1]);
        assert_string_equal(
            test_text(db, "SELECT awa.block_is_drawn(pg_sequence_last_value('awa.block_draws'))"),
            "f");
    }
    expect_distinct(db, 8);
}

/* In a pool such a session lives on, and its transaction may stay open for as long. */
static void
a_draw_that_is_refused_leaves_nothing_behind(void **state)
{
    static const char *const ends[] = { "ROLLBACK TO SAVEPOINT s", "ROLLBACK" };
    PGconn *db = *state, *refused = test_connect(db, "producer");
    PGconn *producer = test_connect(db, "producer");

    test_lane(db, 2);
    test_exec(producer, "SET statement_timeout = '5s'");
    test_exec(refused, "BEGIN READ ONLY; SAVEPOINT s");
    test_expect_error(refused, "25006", "SELECT awa.insert_job('k')");
    for (size_t i = 0; i < 2; i++) {
        test_exec(producer, "SELECT awa.insert_jobs('{a,b,c}')");
        test_exec(refused, ends[i]);
        assert_int_equal(test_int(db, test_format("SELECT count(*) FROM pg_locks WHERE (locktype ="
                                                  " 'advisory' OR relation ="
                                                  " 'awa.draw_lock'::regclass) AND pid = %d",
                                                  PQbackendPID(refused))),
                         0);
        test_exec(producer, "SELECT awa.insert_jobs('{a,b,c}')");
    }
    expect_distinct(db, 12);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_DB(no_number_is_handed_out_twice),
        TEST_DB(a_lane_is_claimed_in_the_order_of_its_positions),
        TEST_DB(a_number_is_not_taken_from_a_block_that_is_being_drawn),
        TEST_DB(two_blocks_are_drawn_one_after_the_other),
        TEST_DB(a_block_that_was_drawn_holds_up_nobody),
        TEST_DB(a_number_is_not_taken_from_a_block_that_came_and_went),
        TEST_DB(a_draw_that_is_cut_off_leaves_nothing_behind),
        TEST_DB(a_draw_that_is_refused_leaves_nothing_behind),
    };

    return TEST_RUN(tests);
}
