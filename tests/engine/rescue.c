/* SPDX-License-Identifier: MIT */
/* Workers that register, live and die, and what becomes of their jobs. */
#include "test_jobs.h"

#include <inttypes.h>
#include <string.h>

/* Rescues with the clock moved on. Returns how many jobs. */
static int64_t
rescue(PGconn *conn, const char *later)
{
    return test_int(
        conn, test_format("SELECT awa.rescue_jobs(clock_timestamp() + interval '%s')", later));
}

static const char *
last_error(PGconn *db, int64_t id)
{
    return test_text(db, test_format("SELECT errors -> -1 ->> 'error' FROM awa.jobs WHERE id ="
                                     " %" PRId64,
                                     id));
}

/* ---- Registration ------------------------------------------------------------------------ */

static void
a_worker_registers_under_a_number_of_its_own(void **state)
{
    static const struct {
        const char *call, *want;
    } cases[] = {
        { "0, 'w', '{q}'", "JQ001 worker: want a random number above 0" },
        { "-5, 'w', '{q}'", "JQ001 worker: want a random number above 0" },
        { "NULL, 'w', '{q}'", "JQ001 worker: want a random number above 0" },
        { "5, 'w', '{}'", "JQ001 queues: want 1 to 1000, got 0" },
        { "5, 'w', NULL", "JQ001 queues: want 1 to 1000, got 0" },
        { "5, 'w', array_fill('q'::text, '{1001}')", "JQ001 queues: want 1 to 1000, got 1001" },
        { "5, 'w', ARRAY['']", "JQ001 queue: want 1 to 200 bytes, got 0" },
        { "5, 'w', ARRAY[repeat('q', 201)]", "JQ001 queue: want 1 to 200 bytes, got 201" },
        { "5, 'w', ARRAY[NULL]::text[]", "JQ001 queue: want 1 to 200 bytes, got 0" },
        { "7, 'w', '{q}'", "JQ001 worker: this number is taken" },
        { "8, 'w', '{q}'", "JQ001 worker: this number is taken" },
    };
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *other = test_connect(db, "worker");

    test_exec(worker, "SELECT awa.register_worker(8, repeat('n', 300), '{a,b}', '{k}', false,"
                      " '7 s')");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(
            test_error(other, test_format("SELECT awa.register_worker(%s)", cases[i].call)),
            cases[i].want);
    assert_string_equal(test_rows(db,
                                  "SELECT worker_id, length(name), queues, kinds, session, lease"
                                  " FROM awa.workers ORDER BY 1"),
                        "7|2|{default}||t| 8|200|{a,b}|{k}|f|00:00:07");
    assert_string_equal(test_rows(db, "SELECT queue FROM awa.queues ORDER BY 1"), "a b default");
}

static void
a_heartbeat_keeps_a_worker_known(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);

    test_silence(db, 7, 3600);
    assert_string_equal(
        test_rows(worker, "SELECT known, ready, lost, server FROM"
                          " awa.heartbeat('{7,99}')"),
        test_format("{7}|{}|{}|%s", test_text(worker, "SELECT awa.server_number()")));
    assert_string_equal(test_text(db, "SELECT last_seen_at > now() - interval '1 min' AND"
                                      " awa.silence(seen_ms) < '1 min' FROM awa.seen_workers"),
                        "t");
    test_exec(worker, "SELECT awa.deregister_worker(7)");
    assert_string_equal(test_rows(worker, "SELECT known FROM awa.heartbeat('{7}')"), "{}");
}

/* However long: an old snapshot would keep dead rows, and each claim would walk over them. */
static void
heartbeats_leave_no_dead_row(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);

    for (int i = 0; i < 10; i++)
        test_exec(worker, "SELECT awa.heartbeat('{7}')");
    test_wait_until(db,
                    "SELECT pg_stat_force_next_flush() IS NOT NULL AND (SELECT sum(n_tup_ins) = 11"
                    " AND sum(n_tup_upd + n_tup_del) = 0 FROM pg_stat_all_tables WHERE schemaname"
                    " = 'awa' AND relname ~ 'worker')",
                    10000);
}

static void
clear_beats_at(PGconn *owner, int served_ms)
{
    test_exec(owner, test_format("SELECT setval('awa.served_ms', %d); SELECT awa.clear_beats()",
                                 served_ms));
}

/* What is forgotten does not make a silent worker look older, nor a live one. */
static void
heartbeats_are_forgotten_but_not_when_the_last_one_was(void **state)
{
    static const char seen[] = "SELECT worker_id, last_seen_at, seen_ms FROM awa.seen_workers"
                               " ORDER BY 1";
    static const char beats[] = "SELECT worker_id, count(*) FROM awa.worker_beats GROUP BY 1";
    PGconn *db = *state, *owner = test_connect(db, "owner");
    const char *before;

    test_worker(db, 7);
    test_worker(db, 8);
    test_exec(owner, "SET ROLE awa_owner");
    test_exec(db, "UPDATE awa.workers SET last_seen_at = '2026-01-01 00:00', seen_ms = 0; INSERT"
                  " INTO awa.worker_beats (worker_id, seen_at, seen_ms, beat_slot) SELECT w,"
                  " '2026-01-01 12:00'::timestamptz + ms * interval '1 ms', ms, awa.beat_slot(ms)"
                  " FROM (VALUES (7, 10000), (7, 50000), (8, 50000), (8, 70000)) AS b (w, ms)");
    before = test_rows(db, seen);
    assert_string_equal(before, "7|2026-01-01 12:00:50+00|50000 8|2026-01-01 12:01:10+00|70000");
    clear_beats_at(owner, 90000); /* of the last two minutes */
    assert_string_equal(test_rows(db, beats), "7|2 8|2");
    clear_beats_at(owner, 150000);
    assert_string_equal(test_rows(db, beats), "8|1");
    assert_string_equal(test_rows(db, seen), before);
    clear_beats_at(owner, 210000);
    assert_string_equal(test_rows(db, beats), "");
    assert_string_equal(test_rows(db, seen), before);
}

static void
a_heartbeat_on_a_new_session_takes_the_lock_again(void **state)
{
    static const char locked[] = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND"
                                 " classid::bigint = awa.lock_class('worker') AND objid = 7 AND"
                                 " objsubid = 2 AND mode = 'ExclusiveLock' AND"
                                 " database = (SELECT d.oid FROM pg_database AS d"
                                 " WHERE d.datname = current_database())";
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *next;

    assert_int_equal(test_int(db, locked), 1);
    test_exec(worker, "SELECT awa.heartbeat('{7}')");
    assert_int_equal(test_int(db, locked), 1);
    test_exec(db, test_format("SELECT pg_terminate_backend(%d)", PQbackendPID(worker)));
    test_wait_until(db, test_format("SELECT (%s) = 0", locked), 10000);
    next = test_connect(db, "worker");
    test_exec(next, "SELECT awa.heartbeat('{7}')"); /* in a session that is none of its own */
    assert_int_equal(test_int(db, locked), 0);
    for (int i = 0; i < 2; i++) {
        test_exec(next, "SELECT awa.heartbeat('{7}', p_session => true)");
        assert_int_equal(test_int(db, locked), 1);
    }
    test_exec(next, "SELECT awa.deregister_worker(7)");
    assert_int_equal(test_int(db, locked), 0);
}

/* ---- Rescue ------------------------------------------------------------------------------ */

static void
a_live_worker_is_left_alone(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *leader = test_connect(db, "worker");

    test_insert(db);
    test_claim_one(worker, 7);
    assert_int_equal(rescue(leader, "0 s"), 0);
    assert_int_equal(rescue(leader, "14 s"), 0); /* silent, but its session holds the lock */
    assert_int_equal(test_count(db, "running"), 1);
    test_insert(db);
    test_claim_one(worker, 7);
}

static void
a_worker_whose_session_died_is_rescued_after_the_grace(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *leader = test_connect(db, "worker");
    struct attempt a;

    test_insert(db);
    a = test_claim_one(worker, 7);
    test_exec(db, test_format("SELECT pg_terminate_backend(%d, 10000)", PQbackendPID(worker)));
    assert_int_equal(rescue(leader, "2 s"), 0);
    assert_int_equal(rescue(leader, "4 s"), 1);
    assert_string_equal(test_state(db, a.id), "available");
    assert_string_equal(last_error(db, a.id), "worker w7 lost its session");
    assert_string_equal(test_rows(db, "SELECT ended_at IS NOT NULL, empty, rescued FROM"
                                      " awa.workers"),
                        "t|t|1");
    assert_int_equal(rescue(leader, "4 s"), 0);
}

static void
a_silent_worker_is_rescued_after_its_lease(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *leader = test_connect(db, "worker");
    struct attempt a;

    test_insert(db);
    a = test_claim_one(worker, 7);
    assert_int_equal(rescue(leader, "16 s"), 1);
    assert_string_equal(test_text(db, test_format("SELECT errors -> -1 ->> 'error' LIKE 'worker w7"
                                                  " was silent since 2%%' FROM awa.jobs WHERE id ="
                                                  " %" PRId64,
                                                  a.id)),
                        "t");
    /* without a session, only the lease counts; and a worker may have its own */
    test_exec(worker, "SELECT awa.register_worker(8, 'w8', '{default}', p_session => false)");
    test_exec(worker, "SELECT awa.register_worker(9, 'w9', '{default}', p_session => false,"
                      " p_lease => '60 s')");
    test_claim_one(worker, 8);
    test_insert(db);
    test_claim_one(worker, 9);
    assert_int_equal(rescue(leader, "14 s"), 0);
    assert_int_equal(rescue(leader, "16 s"), 1);
    assert_int_equal(rescue(leader, "59 s"), 0);
    assert_int_equal(rescue(leader, "61 s"), 1);
}

static void
a_worker_that_said_good_bye_is_rescued_at_once(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *leader = test_connect(db, "worker");
    int64_t id = test_insert(db);

    test_claim_one(worker, 7);
    test_exec(worker, "SELECT awa.deregister_worker(7)");
    assert_int_equal(rescue(leader, "0 s"), 1);
    assert_string_equal(last_error(db, id), "worker w7 ended");
}

static void
a_rescue_takes_what_is_open_wherever_it_is(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *other = test_worker(db, 8);
    PGconn *leader = test_connect(db, "worker");
    struct attempt a[16];

    for (int i = 0; i < 3; i++) {
        test_exec(db, "SELECT awa.insert_jobs('{a,b,c}', p_priorities => '{1,2,2}')");
        test_exec(db, "SELECT awa.rotate_ring(true)");
    }
    assert_int_equal(test_claim(worker, 7, 16, a), 3);
    assert_int_equal(test_claim(worker, 7, 3, a + 3), 3);
    assert_int_equal(test_claim(other, 8, 16, a + 6), 3);
    test_close(worker, &a[0], "completed");
    test_close(worker, &a[4], "failed");
    test_exec(worker, "SELECT awa.checkpoint_heads(0::smallint), awa.carry_forward(0::smallint)");
    test_exec(worker, "SELECT awa.deregister_worker(7)");
    assert_int_equal(rescue(leader, "0 s"), 4);
    assert_string_equal(test_rows(db, "SELECT state, count(*) FROM awa.jobs GROUP BY 1 ORDER BY 1"),
                        "available|4 running|3 completed|1 failed|1");
    for (int i = 0; i < 6; i++)
        assert_string_equal(test_close(worker, &a[i], "completed"), "stale");
}

static void
an_attempt_that_is_used_up_fails_with_its_worker(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *leader = test_connect(db, "worker");

    test_exec(db, "SELECT awa.insert_job('a', p_max_attempts => 1), awa.insert_job('b')");
    test_claim_ids(worker, 7, 10);
    test_exec(worker, "SELECT awa.deregister_worker(7)");
    assert_int_equal(rescue(leader, "0 s"), 2);
    assert_string_equal(
        test_rows(db, "SELECT kind, state, attempt, errors -> 0 ->> 'outcome' FROM awa.jobs"
                      " ORDER BY id"),
        "a|failed|1|rescued b|available|1|rescued");
}

/* The rescue gave the worker up, and could not take what somebody was just closing. */
static void
an_attempt_is_lost_only_when_it_was_taken(void **state)
{
    static const char heartbeat[] = "SELECT known, lost = '<run>' FROM awa.heartbeat('{7}', '{}',"
                                    " '{<claim>}', '{\"<run>\"}')";
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *handler = test_connect(db, "worker");
    PGconn *leader = test_connect(db, "worker");
    struct attempt a;

    test_insert(db);
    a = test_claim_one(worker, 7);
    test_exec(handler, "BEGIN");
    test_exec(handler, test_complete_sql(&a));
    assert_int_equal(rescue(leader, "16 s"), 0);
    assert_string_equal(test_rows(worker, test_attempt_sql(heartbeat, &a)), "{}|f");
    test_exec(handler, "ROLLBACK");
    assert_string_equal(test_rows(worker, test_attempt_sql(heartbeat, &a)), "{}|f");
    assert_int_equal(rescue(leader, "16 s"), 1);
    assert_string_equal(test_rows(worker, test_attempt_sql(heartbeat, &a)), "{}|t");
    assert_string_equal(test_close(worker, &a, "completed"), "stale");
}

static void
a_worker_that_wakes_up_is_told_that_it_was_given_up(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *leader = test_connect(db, "worker");
    struct attempt a;

    test_insert(db);
    a = test_claim_one(worker, 7);
    assert_int_equal(rescue(leader, "16 s"), 1);
    assert_string_equal(
        test_rows(worker, test_attempt_sql("SELECT known, lost = '<run>' FROM awa.heartbeat('{7}',"
                                           " '{}', '{<claim>}', '{\"<run>\"}')",
                                           &a)),
        "{}|t");
    test_expect_error(worker, "JQ003", "SELECT awa.claim_jobs(7, 'default', 1)");
    assert_string_equal(test_text(worker, test_complete_sql(&a)), "{}");
    assert_string_equal(test_close(worker, &a, "failed"), "stale");
    test_expect_error(
        worker, "JQ003",
        test_format("SELECT awa.complete_job(7, %" PRId64 ", %" PRId64 ")", a.claim, a.pos));
    assert_string_equal(test_state(db, a.id), "available");
    test_exec(worker, "SELECT awa.register_worker(70, 'again', '{default}')");
    assert_int_equal(test_claim_one(worker, 70).number, 2);
}

static void
who_has_ended_or_is_silent_may_be_rescued(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *leader = test_connect(db, "worker");

    assert_string_equal(test_text(leader, "SELECT awa.any_to_rescue()"), "f");
    assert_string_equal(
        test_text(leader, "SELECT awa.any_to_rescue(clock_timestamp() + interval '14 s')"), "f");
    assert_string_equal(
        test_text(leader, "SELECT awa.any_to_rescue(clock_timestamp() + interval '16 s')"), "t");
    test_exec(worker, "SELECT awa.deregister_worker(7)");
    assert_string_equal(test_text(leader, "SELECT awa.any_to_rescue()"), "t");
    rescue(leader, "0 s");
    assert_string_equal(test_text(leader, "SELECT awa.any_to_rescue()"), "f");
}

static void
ended_workers_are_forgotten_after_an_hour(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *leader = test_connect(db, "worker");

    test_exec(worker, "SELECT awa.deregister_worker(7)");
    rescue(leader, "0 s");
    assert_int_equal(test_int(db, "SELECT count(*) FROM awa.workers"), 1);
    rescue(leader, "61 min");
    assert_int_equal(test_int(db, "SELECT count(*) FROM awa.workers"), 0);
}

/* ---- The engine's own time --------------------------------------------------------------- */

/* As if the engine had served somebody that many milliseconds ago, and nobody since. */
static void
served_ago(PGconn *db, int ms)
{
    test_exec(db,
              test_format("SELECT setval('awa.served_at', awa.to_ms(clock_timestamp()) - %d)", ms));
}

static void
time_passes_while_somebody_is_served(void **state)
{
    static const struct {
        int passed, served; /* ms by the clock, and by the engine */
        bool outage;
    } cases[] = {
        { 50, 0, false },         { 1000, 1000, false }, { 1500, 1500, false },
        { 2400, 1500, false },    { 2600, 1500, true },  { 60000, 1500, true },
        { 86400000, 1500, true }, { -3600000, 0, true }, { -1, 0, true },
    };
    PGconn *db = *state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t before = test_int(db, "SELECT awa.served_now()");

        test_exec(db, "SELECT setval('awa.outage_ended', 1),"
                      " setval('awa.served_at', awa.to_ms('2026-01-01'))");
        test_exec(db, test_format("SELECT awa.tick_served('2026-01-01'::timestamptz + %d * interval"
                                  " '1 ms')",
                                  cases[i].passed));
        assert_int_equal(test_int(db, "SELECT awa.served_now()") - before, cases[i].served);
        assert_int_equal(test_int(db, "SELECT last_value FROM awa.outage_ended"),
                         cases[i].outage ? before + cases[i].served : 1);
    }
}

/* Three workers, one with a session, which are seen each second; the clock is set in between. */
static void
a_step_of_the_clock_rescues_nobody_alive(void **state)
{
    static const int steps[] = { 60000, -60000, 3600000, -3600000, 86400000 };
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *other = test_connect(db, "worker");
    PGconn *leader = test_connect(db, "worker");

    test_exec(other, "SELECT awa.register_worker(8, 'w8', '{default}', p_session => false)");
    test_exec(other, "SELECT awa.register_worker(9, 'w9', '{default}', p_session => false,"
                     " p_lease => '2 s')");
    test_exec(db, "SELECT awa.insert_jobs('{a,b,c}')");
    for (int i = 7; i <= 9; i++)
        test_exec(i == 7 ? worker : other,
                  test_format("SELECT awa.claim_jobs(%d, 'default', 1)", i));
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        for (int second = 0; second < 3; second++) {
            test_exec(worker, "SELECT awa.heartbeat('{7}')");
            test_exec(other, "SELECT awa.heartbeat('{8,9}')");
            served_ago(db, second == 0 ? steps[i] : 1000);
            test_exec(leader, "SELECT awa.lead(7)");
            assert_string_equal(test_text(leader, "SELECT awa.any_to_rescue()"), "f");
            assert_int_equal(rescue(leader, "0 s"), 0);
        }
    }
    assert_int_equal(test_count(db, "running"), 3);
}

static void
a_dead_worker_is_noticed_whatever_the_clock_says(void **state)
{
    static const int steps[] = { 3600000, -3600000, 60000 };
    PGconn *db = *state;
    PGconn *other = test_worker(db, 8), *leader = test_connect(db, "worker");

    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        int seconds = 0;
        PGconn *worker;

        test_number(db, 100 + (int)i);
        worker = test_connect(db, "worker");
        test_exec(worker,
                  test_format("SELECT awa.register_worker(%d, 'w', '{default}')", 100 + (int)i));
        test_insert(db);
        test_exec(worker, test_format("SELECT awa.claim_jobs(%d, 'default', 1)", 100 + (int)i));
        served_ago(db, steps[i]);
        test_exec(db, test_format("SELECT pg_terminate_backend(%d, 10000)", PQbackendPID(worker)));
        for (; rescue(leader, "0 s") == 0 && seconds < 10; seconds++) {
            test_exec(other, "SELECT awa.heartbeat('{8}')");
            served_ago(db, 1000);
        }
        assert_in_range(seconds, 3, 6); /* the grace, from the step on */
        assert_int_equal(test_count(db, "running"), 0);
        test_exec(db, "SELECT awa.drain_queue('default')");
    }
}

/* The server was away for a minute, or stood still: all have to come back first. */
static void
after_an_outage_all_have_a_grace_anew(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *other = test_worker(db, 8);
    PGconn *leader = test_connect(db, "worker");

    test_insert(db);
    test_claim_one(worker, 7);
    test_exec(db, test_format("SELECT pg_terminate_backend(%d, 10000)", PQbackendPID(worker)));
    test_silence(db, 7, 2);
    served_ago(db, 60000);
    test_exec(other, "SELECT awa.heartbeat('{8}')");
    assert_int_equal(rescue(leader, "0 s"), 0);
    assert_int_equal(rescue(leader, "2 s"), 0);
    assert_int_equal(rescue(leader, "4 s"), 1);
}

/* ---- A claim whose answer was lost ------------------------------------------------------- */

/* Also from slots that are sealed, and where it has closed some of it. */
static void
what_a_worker_does_not_know_of_goes_back_unstarted(void **state)
{
    static const char jobs[] = "SELECT id, state, attempt, errors FROM awa.jobs ORDER BY id";
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);
    struct attempt a[5];

    test_exec(db, "SELECT awa.insert_jobs('{a,b,c}', p_max_attempts => '{1,1,1}')");
    assert_int_equal(test_claim(worker, 7, 3, a), 3);
    test_close(worker, &a[0], "completed");
    test_exec(db, "SELECT awa.rotate_ring(true)");
    test_exec(db, "SELECT awa.insert_jobs('{d,e}', p_max_attempts => '{1,1}')");
    assert_int_equal(test_claim(worker, 7, 2, a + 3), 2);

    assert_int_equal(test_int(worker, test_format("SELECT awa.reconcile_worker(7, '{[%" PRId64
                                                  ",%" PRId64 "],[%" PRId64 ",%" PRId64 "]}')",
                                                  a[1].pos, a[1].pos, a[3].pos, a[3].pos)),
                     2);
    assert_string_equal(test_rows(db, jobs), "1|completed|1| 2|running|1| 3|available|0|"
                                             " 4|running|1| 5|available|0|");
    assert_string_equal(test_close(worker, &a[2], "completed"), "stale");
    assert_string_equal(test_close(worker, &a[1], "completed"), "completed");
    assert_int_equal(test_int(worker, "SELECT awa.reconcile_worker(7, '{}')"), 1);
    assert_int_equal(test_int(worker, "SELECT awa.reconcile_worker(7, '{}')"), 0);
    assert_string_equal(test_rows(db, jobs), "1|completed|1| 2|completed|1| 3|available|0|"
                                             " 4|available|0| 5|available|0|");
    test_expect_error(worker, "JQ001", "SELECT awa.reconcile_worker(7, NULL)");
}

/* But it lives, and ends what it knows of. */
static void
a_worker_that_was_reconciled_claims_no_more(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *leader = test_connect(db, "worker");
    struct attempt a;

    test_insert(db);
    a = test_claim_one(worker, 7);
    test_insert(db);
    assert_int_equal(test_int(worker, test_format("SELECT awa.reconcile_worker(7, '{[%" PRId64
                                                  ",%" PRId64 "]}')",
                                                  a.pos, a.pos)),
                     0);
    test_expect_error(worker, "JQ003", "SELECT awa.claim_jobs(7, 'default', 1)");
    assert_string_equal(test_rows(worker, "SELECT known FROM awa.heartbeat('{7}')"), "{7}");
    assert_int_equal(rescue(leader, "0 s"), 0);
    assert_string_equal(test_close(worker, &a, "completed"), "completed");
    test_exec(worker, "SELECT awa.deregister_worker(7)");
    assert_int_equal(rescue(leader, "0 s"), 0);
}

/* ---- Deadlines --------------------------------------------------------------------------- */

static int64_t
expire(PGconn *conn, const char *from, const char *later)
{
    return test_int(conn, test_format("SELECT awa.expire_jobs('%s', clock_timestamp() + interval"
                                      " '%s')",
                                      from, later));
}

static void
an_attempt_ends_a_moment_after_its_deadline(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *leader = test_connect(db, "worker");
    struct attempt a[3];

    test_exec(db, "SELECT awa.insert_job('a', p_max_attempts => 1), awa.insert_job('b'),"
                  " awa.insert_job('c')");
    assert_int_equal(test_claim(worker, 7, 3, a), 3);
    test_close(worker, &a[2], "completed");
    /* the worker has a moment for it */
    assert_int_equal(test_int(leader, "SELECT awa.expire_jobs(p_now => clock_timestamp() + interval"
                                      " '299 s' + awa.deadline_grace())"),
                     0);
    assert_int_equal(test_int(leader, "SELECT awa.expire_jobs(p_now => clock_timestamp() + interval"
                                      " '300 s' + awa.deadline_grace())"),
                     2);
    assert_int_equal(expire(leader, "-infinity", "1 h"), 0);
    assert_string_equal(
        test_rows(db, "SELECT kind, state, attempt, errors -> 0 ->> 'outcome', errors -> 0 ->>"
                      " 'error' LIKE 'deadline exceeded, after %' FROM awa.jobs ORDER BY id"),
        "a|failed|1|expired|t b|retryable|1|expired|t c|completed|1||");
    assert_string_equal(test_close(worker, &a[1], "completed"), "stale");
}

static void
deadlines_are_looked_at_from_where_the_last_look_ended(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *leader = test_connect(db, "worker");
    const char *deadline;

    test_insert(db);
    test_claim_one(worker, 7);
    deadline = test_text(db, "SELECT deadline_at FROM awa.jobs");
    assert_int_equal(expire(leader, deadline, "1 h"), 0);
    assert_int_equal(expire(leader,
                            test_text(db, "SELECT deadline_at - interval '1 us' FROM"
                                          " awa.jobs"),
                            "1 h"),
                     1);
}

static void
a_deadline_is_carried_with_its_attempt(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *leader = test_connect(db, "worker");

    test_insert(db);
    test_claim_one(worker, 7);
    test_exec(db, "SELECT awa.rotate_ring(true), awa.checkpoint_heads(0::smallint),"
                  " awa.carry_forward(0::smallint)");
    assert_int_equal(expire(leader, "-infinity", "1 h"), 1);
    assert_int_equal(expire(leader, "-infinity", "1 h"), 0);
    assert_int_equal(test_count(db, "retryable"), 1);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_DB(a_worker_registers_under_a_number_of_its_own),
        TEST_DB(a_heartbeat_keeps_a_worker_known),
        TEST_DB(heartbeats_leave_no_dead_row),
        TEST_DB(heartbeats_are_forgotten_but_not_when_the_last_one_was),
        TEST_DB(a_heartbeat_on_a_new_session_takes_the_lock_again),
        TEST_DB(a_live_worker_is_left_alone),
        TEST_DB(a_worker_whose_session_died_is_rescued_after_the_grace),
        TEST_DB(a_silent_worker_is_rescued_after_its_lease),
        TEST_DB(a_worker_that_said_good_bye_is_rescued_at_once),
        TEST_DB(a_rescue_takes_what_is_open_wherever_it_is),
        TEST_DB(an_attempt_that_is_used_up_fails_with_its_worker),
        TEST_DB(an_attempt_is_lost_only_when_it_was_taken),
        TEST_DB(a_worker_that_wakes_up_is_told_that_it_was_given_up),
        TEST_DB(who_has_ended_or_is_silent_may_be_rescued),
        TEST_DB(ended_workers_are_forgotten_after_an_hour),
        TEST_DB(time_passes_while_somebody_is_served),
        TEST_DB(a_step_of_the_clock_rescues_nobody_alive),
        TEST_DB(a_dead_worker_is_noticed_whatever_the_clock_says),
        TEST_DB(after_an_outage_all_have_a_grace_anew),
        TEST_DB(what_a_worker_does_not_know_of_goes_back_unstarted),
        TEST_DB(a_worker_that_was_reconciled_claims_no_more),
        TEST_DB(an_attempt_ends_a_moment_after_its_deadline),
        TEST_DB(deadlines_are_looked_at_from_where_the_last_look_ended),
        TEST_DB(a_deadline_is_carried_with_its_attempt),
    };

    return TEST_RUN(tests);
}
