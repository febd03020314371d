/* SPDX-License-Identifier: MIT */
/* The ring: what is carried out of a slot, what goes with it, and when its turn has come. */
#include "test_jobs.h"

#include <inttypes.h>
#include <string.h>

static void
rotate(PGconn *db)
{
    test_exec(db, "SELECT awa.rotate_ring(true)");
}

/* Until nothing is left; returns how many entries were carried. */
static int64_t
carry_all(PGconn *worker, int slot, const char *later)
{
    int64_t carried = 0;
    int64_t n;

    do {
        n = test_int(worker, test_format("SELECT awa.carry_forward(%d::smallint, p_now =>"
                                         " clock_timestamp() + interval '%s')",
                                         slot, later));
        carried += n;
    } while (n > 0);
    return carried;
}

/* Heads, entries, and the truncate; with the clock moved on. */
static const char *
empty_slot(PGconn *worker, int slot, const char *later)
{
    test_exec(worker, test_format("SELECT awa.checkpoint_heads(%d::smallint)", slot));
    carry_all(worker, slot, later);
    return test_text(worker, test_format("SELECT awa.prune_slot(%d::smallint, clock_timestamp() +"
                                         " interval '%s')",
                                         slot, later));
}

static int64_t
rows_in(PGconn *db, int slot)
{
    return test_int(
        db, test_format("SELECT (SELECT count(*) FROM awa.ready_entries_%d) + (SELECT count(*) FROM"
                        " awa.ready_tombstones_%d) + (SELECT count(*) FROM awa.claims_%d) + (SELECT"
                        " count(*) FROM awa.closures_%d) + (SELECT count(*) FROM"
                        " awa.done_entries_%d)",
                        slot, slot, slot, slot, slot));
}

/* ---- Rotation ---------------------------------------------------------------------------- */

static void
the_ring_turns_when_its_slot_is_old_or_large(void **state)
{
    PGconn *db = *state;

    test_exec(db, "UPDATE awa.ring_rotations SET opened_at = clock_timestamp()");
    assert_null(test_text(db, "SELECT awa.rotate_ring(true)")); /* it is empty */
    test_insert(db);
    assert_null(test_text(db, "SELECT awa.rotate_ring()"));
    assert_null(test_text(db, "SELECT awa.rotate_ring(p_now => clock_timestamp() + '299 s')"));
    assert_int_equal(test_int(db, "SELECT awa.rotate_ring(p_now => clock_timestamp() + '301 s')"),
                     1);
    test_exec(db, "UPDATE awa.settings SET slot_bytes = 8192");
    assert_null(test_text(db, "SELECT awa.rotate_ring()"));
    test_insert(db);
    assert_int_equal(test_int(db, "SELECT awa.rotate_ring()"), 2);
    assert_string_equal(test_rows(db, "SELECT generation, ready_slot FROM awa.ring_rotations"),
                        "1|0 2|1 3|2");
}

static void
the_ring_stays_where_it_is_while_no_slot_is_empty(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);

    for (int i = 1; i < 16; i++) {
        test_insert(db);
        assert_int_equal(test_int(db, "SELECT awa.rotate_ring(true)"), i);
    }
    test_insert(db);
    assert_null(test_text(db, "SELECT awa.rotate_ring(true)"));
    test_insert(db);
    assert_int_equal(test_int(worker, "SELECT count(*) FROM awa.claim_jobs(7, 'default', 100)"),
                     17);
    /* any empty slot will do, whichever was the first */
    assert_string_equal(empty_slot(worker, 9, "0 s"), "pruned");
    assert_int_equal(test_int(db, "SELECT awa.rotate_ring(true)"), 9);
}

/* Jobs of kind failing, which fail for good. */
static void
fail_many(PGconn *db, PGconn *worker, int n)
{
    test_exec(db, test_format("SELECT awa.insert_jobs(array_fill('failing'::text, '{%d}'))", n));
    test_exec(worker, test_format("SELECT awa.close_jobs(7, array_agg(c.ready_slot),"
                                  " array_agg(c.claim_id), array_agg(c.pos),"
                                  " array_fill('failed'::text, '{%d}'))"
                                  " FROM awa.claim_jobs(7, 'default', %d) AS c",
                                  n, n));
}

/* ---- Carry forward, prune ---------------------------------------------------------------- */

static void
what_is_alive_is_carried_and_the_rest_goes(void **state)
{
    static const char shown[] = "SELECT id, kind, args, queue, priority, state, attempt,"
                                " max_attempts, run_at, created_at, attempted_at, deadline_at,"
                                " finalized_at, run_lease, worker_id, errors, output, tags,"
                                " metadata, unique_key, pos FROM awa.jobs %s ORDER BY id";
    static const char *const outcomes[] = { "completed", "failed",   "cancelled", "retried",
                                            "snoozed",   "released", "expired",   "" };
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);
    const char *before;

    for (int i = 0; i < 8; i++) {
        struct attempt a;

        test_exec(db, test_format("SELECT awa.insert_job('k', '[%d]', p_tags => '{t}', p_metadata"
                                  " => '{\"m\": 1}', p_unique_key => 'u%d')",
                                  i, i));
        a = test_claim_one(worker, 7);
        if (*outcomes[i] != '\0')
            test_text(worker, test_close_sql(&a, outcomes[i],
                                             strcmp(outcomes[i], "expired") == 0
                                                 ? "'{why}', '{1}', '{0 s}'"
                                                 : "'{why}', '{1}', '{1 h}'"));
        if (strcmp(outcomes[i], "expired") == 0) { /* and running again */
            test_exec(db, "SELECT awa.promote_jobs()");
            test_claim_one(worker, 7);
        }
    }
    test_exec(db, "SELECT awa.insert_job('waits', p_priority => 1), awa.insert_job('waits')");
    test_exec(db, "SELECT awa.insert_job('withdrawn')");
    test_exec(db, "SELECT awa.cancel_job(11)");
    before = test_rows(db, test_format(shown, "WHERE state NOT IN ('completed', 'cancelled')"));
    rotate(db);
    assert_string_equal(empty_slot(worker, 0, "0 s"), "pruned");
    assert_string_equal(test_rows(db, test_format(shown, "")), before);
    assert_int_equal(rows_in(db, 0), 0);
    /* and once more, out of the slot into which it was carried */
    rotate(db);
    assert_string_equal(empty_slot(worker, 1, "0 s"), "pruned");
    assert_string_equal(test_rows(db, test_format(shown, "")), before);
}

static void
a_carried_job_ends_where_it_is(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);
    struct attempt a[4], b;

    test_exec(db, "SELECT awa.insert_jobs('{a,b,c,d,e}')");
    assert_int_equal(test_claim(worker, 7, 4, a), 4);
    rotate(db);
    assert_string_equal(empty_slot(worker, 0, "0 s"), "pruned");
    /* the worker remembers slot 0 */
    assert_string_equal(
        test_text(worker, test_format("SELECT awa.complete_jobs(7, '{0}', '{%" PRId64 "}',"
                                      " '{\"{[%" PRId64 ",%" PRId64 "]}\"}')",
                                      a[0].claim, a[0].pos, a[1].pos)),
        test_format("{[%" PRId64 ",%" PRId64 ")}", a[0].pos, a[1].pos + 1));
    assert_string_equal(test_close(worker, &a[2], "failed"), "failed");
    test_exec(worker, test_format("SELECT awa.complete_job(7, %" PRId64 ", %" PRId64 ")",
                                  a[3].claim, a[3].pos));
    b = test_claim_one(worker, 7);
    assert_int_equal(b.slot, 1);
    assert_string_equal(test_close(worker, &b, "released"), "available");
    assert_string_equal(test_rows(db, "SELECT state FROM awa.jobs ORDER BY id"),
                        "completed completed failed completed available");
    assert_int_equal(test_int(db, "SELECT count(*) FROM awa.closures WHERE ready_slot = 0"), 0);
}

static void
a_failed_job_is_kept_for_its_retention(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *operator= test_connect(db, "operator");
    struct attempt a[2];

    test_exec(db, "SELECT awa.insert_jobs('{a,b}')");
    assert_int_equal(test_claim(worker, 7, 2, a), 2);
    for (int i = 0; i < 2; i++)
        test_text(worker, test_close_sql(&a[i], "failed", "'{why}'"));
    rotate(db);
    assert_string_equal(empty_slot(worker, 0, "71 h"), "pruned");
    assert_string_equal(test_rows(db, "SELECT state, attempt, errors -> 0 ->> 'error' FROM"
                                      " awa.jobs"),
                        "failed|1|why failed|1|why");
    assert_string_equal(
        test_text(operator, test_format("SELECT awa.retry_job(%" PRId64 ")", a[0].id)), "t");
    assert_int_equal(test_claim_one(worker, 7).id, a[0].id);
    rotate(db);
    assert_string_equal(empty_slot(worker, 1, "73 h"), "pruned");
    assert_string_equal(test_state(db, a[0].id), "running");
    assert_string_equal(test_state(db, a[1].id), "none");
}

static void
a_slot_is_carried_in_chunks(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);

    test_exec(db, "SELECT awa.insert_jobs(array_fill('k'::text, '{25}'))");
    test_claim_ids(worker, 7, 7);
    rotate(db);
    test_exec(worker, "SELECT awa.checkpoint_heads(0::smallint)");
    for (int i = 0; i < 3; i++) {
        assert_string_equal(test_text(worker, "SELECT awa.prune_slot(0::smallint)"), "alive");
        assert_int_equal(test_int(worker, "SELECT awa.carry_forward(0::smallint, 10)"),
                         i < 2 ? 10 : 5);
        assert_string_equal(test_rows(db, "SELECT state, count(*) FROM awa.jobs GROUP BY 1 ORDER BY"
                                          " 1"),
                            "available|18 running|7");
    }
    assert_int_equal(test_int(worker, "SELECT awa.carry_forward(0::smallint, 10)"), 0);
    assert_string_equal(test_text(worker, "SELECT awa.prune_slot(0::smallint)"), "pruned");
    assert_int_equal(test_int(worker, "SELECT count(*) FROM awa.claim_jobs(7, 'default', 100)"),
                     18);
}

static void
the_current_slot_is_never_emptied(void **state)
{
    PGconn *worker = test_worker(*state, 7);

    test_insert(*state);
    test_expect_error(worker, "JQ001", "SELECT awa.checkpoint_heads(0::smallint)");
    test_expect_error(worker, "JQ001", "SELECT awa.carry_forward(0::smallint)");
    assert_string_equal(test_text(worker, "SELECT awa.prune_slot(0::smallint)"), "current");
}

static void
positions_go_on_after_a_prune(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);

    for (int64_t i = 1; i <= 20; i++) {
        struct attempt a;
        int slot = (int)test_int(db, "SELECT awa.current_slot()");

        assert_int_equal(test_insert(db), i);
        a = test_claim_one(worker, 7);
        assert_int_equal(a.pos & ((INT64_C(1) << 44) - 1), i - 1);
        test_exec(worker, test_complete_sql(&a));
        rotate(db);
        assert_string_equal(empty_slot(worker, slot, "0 s"), "pruned");
        assert_string_equal(test_claim_ids(worker, 7, 10), "");
    }
}

static void
a_gap_outlives_the_slots(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *late = test_connect(db, "producer");

    test_lane(db, 2);
    test_exec(late, "BEGIN");
    test_insert(late); /* into slot 0 */
    for (int slot = 0; slot < 3; slot++) {
        struct attempt a;

        test_insert(db);
        a = test_claim_one(worker, 7);
        test_exec(worker, test_complete_sql(&a));
        rotate(db);
        assert_string_equal(empty_slot(worker, slot, "0 s"), slot == 0 ? "busy" : "pruned");
    }
    test_exec(late, "COMMIT");
    assert_int_equal(test_claim_one(worker, 7).id, 1);
}

/* ---- Whose turn it is -------------------------------------------------------------------- */

static const char *
to_prune(PGconn *worker, const char *later)
{
    return test_rows(worker, test_format("SELECT to_prune FROM awa.turn_ring(clock_timestamp() +"
                                         " interval '%s')",
                                         later));
}

static void
a_slot_is_emptied_when_its_history_is_old_or_room_is_short(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);

    test_exec(db, "UPDATE awa.settings SET slot_age = '1 year'");
    for (int i = 0; i < 3; i++) {
        test_insert(db);
        rotate(db);
    }
    assert_string_equal(to_prune(worker, "59 min"), "");
    assert_string_equal(to_prune(worker, "61 min"), "0");
    assert_string_equal(empty_slot(worker, 0, "0 s"), "pruned");
    assert_string_equal(to_prune(worker, "61 min"), "1");
    for (int i = 0; i < 11; i++) {
        test_insert(db);
        rotate(db);
    }
    test_insert(db);
    assert_int_equal(test_int(db, "SELECT awa.current_slot()"), 14);
    assert_string_equal(to_prune(worker, "0 s"), ""); /* 0 and 15 are empty */
    rotate(db);
    test_insert(db);
    assert_string_equal(to_prune(worker, "0 s"), "1");
}

static void
a_slot_with_a_stubborn_backlog_is_left_for_last(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);

    test_exec(db, "UPDATE awa.settings SET slot_age = '1 year'");
    test_exec(db, "SELECT awa.insert_jobs(array_fill('k'::text, '{10001}'))");
    for (int i = 0; i < 14; i++) {
        rotate(db);
        test_insert(db);
    }
    rotate(db);
    assert_string_equal(to_prune(worker, "0 s"), "1");
    for (int slot = 1; slot < 15; slot++)
        test_exec(db, test_format("INSERT INTO awa.ready_entries SELECT pos + 100000, id,"
                                  " enqueued_at, %d, attempt, max_attempts, kind, args FROM"
                                  " awa.ready_entries_0",
                                  slot));
    assert_string_equal(to_prune(worker, "0 s"), ""); /* 15 is empty */
    test_exec(db, "SELECT awa.insert_jobs(array_fill('k'::text, '{20000}'))");
    assert_string_equal(to_prune(worker, "0 s"), "0");
}

/* They would be copied whenever it is their turn, and all of them be there again. */
static void
a_slot_with_many_kept_failures_is_left_for_last(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);

    test_exec(db, "UPDATE awa.settings SET slot_age = '1 year'");
    fail_many(db, worker, 6000);
    fail_many(db, worker, 6000);
    rotate(db);
    fail_many(db, worker, 10);
    rotate(db);
    fail_many(db, worker, 10);
    assert_string_equal(to_prune(worker, "61 min"), "1");
    assert_string_equal(empty_slot(worker, 1, "61 min"), "pruned");
    assert_string_equal(to_prune(worker, "71 h"), "");
    assert_string_equal(to_prune(worker, "73 h"), "0");
}

/*
 * A slot full of failed jobs that nobody retries is carried round and round; for three turns of the
 * ring every slot finds an empty one after it, and the jobs are where they were.
 */
static void
a_slot_full_of_failed_jobs_does_not_stop_the_ring(void **state)
{
    enum { FAILED = 500 };
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);
    const char *slot;

    test_exec(db, "UPDATE awa.settings SET slot_bytes = 100000, slot_age = '1 year'");
    fail_many(db, worker, FAILED);
    for (int turn = 0; turn < 3 * 16; turn++) {
        test_exec(db, "SELECT awa.insert_jobs(array_fill('k'::text, '{20}'))");
        test_complete(worker, "default", 20);
        rotate(db);
        assert_int_equal(test_int(db, "SELECT generation FROM awa.ring_rotations"
                                      " ORDER BY generation DESC LIMIT 1"),
                         turn + 2);
        slot = to_prune(worker, "0 s");
        if (*slot != '\0')
            assert_string_equal(empty_slot(worker, (int)strtol(slot, NULL, 10), "0 s"), "pruned");
    }
    test_counts(db);
    assert_int_equal(test_count(db, "failed"), FAILED);
    assert_int_equal(test_int(worker, "SELECT count(*) FROM awa.claim_jobs(7, 'default', 10)"), 0);
    assert_int_equal(test_int(test_connect(db, "operator"),
                              "SELECT changed FROM awa.retry_failed(p_kind => 'failing')"),
                     FAILED);
    test_counts(db);
}

/* Failed jobs that are kept fill the whole ring. It goes on turning; but only when as much is new
 * as was carried, so that in the long run no more is copied than is written. */
static void
what_is_carried_is_no_more_than_what_is_new(void **state)
{
    enum { ROUNDS = 250, FAILED = 300 };
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);
    int64_t carried = 0;
    int64_t turns;

    test_exec(db, "UPDATE awa.settings SET slot_bytes = 200000, slot_age = '1 year'");
    for (int i = 0; i < ROUNDS; i++) {
        const char *slot;

        fail_many(db, worker, FAILED);
        test_exec(db, "SELECT awa.rotate_ring()");
        slot = to_prune(worker, "0 s");
        if (*slot != '\0') {
            test_exec(worker, test_format("SELECT awa.checkpoint_heads('%s')", slot));
            carried += carry_all(worker, (int)strtol(slot, NULL, 10), "0 s");
            assert_string_equal(test_text(worker, test_format("SELECT awa.prune_slot('%s')", slot)),
                                "pruned");
        }
    }
    turns = test_int(db, "SELECT max(generation) FROM awa.ring_rotations") - 1;
    if (carried > ROUNDS * FAILED || turns < 2 * 16)
        fail_msg("%" PRId64 " of %d entries were carried in %" PRId64 " turns", carried,
                 ROUNDS * FAILED, turns);
    test_counts(db);
    assert_int_equal(test_count(db, "failed"), ROUNDS * FAILED);
}

static void
a_turn_opens_a_slot_and_names_one_to_empty(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);

    test_exec(db, "UPDATE awa.ring_rotations SET opened_at = clock_timestamp()");
    test_insert(db);
    assert_string_equal(test_rows(worker, "SELECT * FROM awa.turn_ring()"), "|");
    assert_string_equal(
        test_rows(worker, "SELECT * FROM awa.turn_ring(clock_timestamp() + interval '6 min')"),
        "1|");
    assert_string_equal(
        test_rows(worker, "SELECT * FROM awa.turn_ring(clock_timestamp() + interval '70 min')"),
        "|0");
}

static void
the_index_of_ids_is_kept_up_to_date(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);

    test_exec(db, "SELECT awa.insert_jobs(array_fill('k'::text, '{50000}'))");
    assert_true(test_int(worker, "SELECT awa.summarize_ids()") >= 0);
    assert_int_equal(test_int(worker, "SELECT awa.summarize_ids()"), 0);
    for (int id = 1; id <= 50000; id += 9999)
        assert_int_equal(test_int(db, test_format("SELECT id FROM awa.get_job(%d)", id)), id);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_DB(the_ring_turns_when_its_slot_is_old_or_large),
        TEST_DB(the_ring_stays_where_it_is_while_no_slot_is_empty),
        TEST_DB(what_is_alive_is_carried_and_the_rest_goes),
        TEST_DB(a_carried_job_ends_where_it_is),
        TEST_DB(a_failed_job_is_kept_for_its_retention),
        TEST_DB(a_slot_is_carried_in_chunks),
        TEST_DB(the_current_slot_is_never_emptied),
        TEST_DB(positions_go_on_after_a_prune),
        TEST_DB(a_gap_outlives_the_slots),
        TEST_DB(a_slot_is_emptied_when_its_history_is_old_or_room_is_short),
        TEST_DB(a_slot_with_a_stubborn_backlog_is_left_for_last),
        TEST_DB(a_slot_with_many_kept_failures_is_left_for_last),
        TEST_DB(a_slot_full_of_failed_jobs_does_not_stop_the_ring),
        TEST_DB(what_is_carried_is_no_more_than_what_is_new),
        TEST_DB(a_turn_opens_a_slot_and_names_one_to_empty),
        TEST_DB(the_index_of_ids_is_kept_up_to_date),
    };

    return TEST_RUN(tests);
}
