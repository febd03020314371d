/* SPDX-License-Identifier: MIT */
/* Terminal jobs are counted exactly, whatever was done to them; see also property.c. */
#include "test_jobs.h"

#include <string.h>

/* ---- Small things ------------------------------------------------------------------------ */

/* A database with a worker 7 and an operator; the ring turns only when it is told to. */
struct place {
    PGconn *db, *worker, *operator;
    int poison; /* so many completed jobs too many are in the counters; see run_poisoned() */
};

static struct place
open_place(PGconn *db)
{
    struct place p = { .db = db,
                       .worker = test_worker(db, 7),
                       .operator= test_connect(db, "operator") };

    test_exec(db, "UPDATE awa.settings SET slot_age = '1000 years'");
    return p;
}

static void
insert(PGconn *db, int n)
{
    test_exec(db, test_format("SELECT awa.insert_jobs(array_fill('k'::text, '{%d}'))", n));
}

static void
rotate(PGconn *db)
{
    assert_int_not_equal(test_int(db, "SELECT coalesce(awa.rotate_ring(true), -1)"), -1);
}

/* As the leader would, two minutes from now: what was folded a moment ago is folded again. */
static void
fold(const struct place *p)
{
    test_exec(p->worker, "SELECT awa.turn_ring(clock_timestamp() + interval '2 min')");
}

/* In a sealed slot everything that can be is folded. */
static void
rotate_and_fold(const struct place *p)
{
    rotate(p->db);
    test_wait_settled(p->db);
    fold(p);
}

static const char *
empty_slot(const struct place *p, int slot, const char *later)
{
    test_exec(p->worker, test_format("SELECT awa.checkpoint_heads(%d::smallint)", slot));
    test_exec(p->worker,
              test_format("SELECT awa.carry_forward(%d::smallint, 100, clock_timestamp() + '%s')",
                          slot, later));
    return test_text(p->worker, test_format("SELECT awa.prune_slot(%d::smallint,"
                                            " clock_timestamp() + '%s')",
                                            slot, later));
}

/* completed|failed|cancelled, retained in queue 'default'. */
static const char *
terminal(PGconn *db)
{
    return test_rows(db, "SELECT completed, failed, cancelled FROM awa.queue_counts('default')");
}

/* The counts are right; with poison in them, they are wrong by that much, and the check says so. */
static void
check(const struct place *p, int completed, int failed, int cancelled)
{
    const char *trouble;

    assert_string_equal(terminal(p->db),
                        test_format("%d|%d|%d", completed + p->poison, failed, cancelled));
    if (p->poison == 0) {
        test_counts(p->db);
        return;
    }
    trouble = test_trouble(p->db);
    assert_non_null(strstr(trouble, "counted, not there: (0,default,2,0,"));
    assert_non_null(strstr(trouble, "told, not there: (default,"));
    assert_null(strstr(trouble, "scanned"));
}

static const char *
pruned(PGconn *db)
{
    return test_rows(db, "SELECT pruned_completed, pruned_failed, pruned_cancelled"
                         " FROM awa.queue_counts('default')");
}

static int64_t
rows_in(PGconn *db, const char *table)
{
    return test_int(db, test_format("SELECT count(*) FROM awa.%s", table));
}

static void
poison(PGconn *db, int n)
{
    test_exec(db, test_format("INSERT INTO awa.queue_terminal_live_counts (completed, failed,"
                              " cancelled, deltas_xid, lane_id, priority, enqueue_shard,"
                              " ready_slot, queue, cover) SELECT %d, 0, 0, '0', l.lane_id,"
                              " l.priority, l.enqueue_shard, 0, l.queue, '{}'"
                              " FROM awa.lanes AS l ORDER BY l.lane_id LIMIT 1",
                              n));
}

/* ---- In ---------------------------------------------------------------------------------- */

static void
end_batches_with_done_entries(struct place *p)
{
    for (int batch = 1; batch <= 2; batch++) {
        insert(p->db, 7);
        test_end(p->worker, "default", 3, "completed");
        test_end(p->worker, "default", 2, "failed");
        test_end(p->worker, "default", 2, "cancelled");
        check(p, 3 * batch, 2 * batch, 2 * batch);
    }
    assert_int_equal(rows_in(p->db, "done_entries"), 14);
    rotate_and_fold(p);
    check(p, 6, 4, 4);
}

/* Really compact: one row each, and nothing else. */
static void
end_compact_batches(struct place *p)
{
    for (int batch = 1; batch <= 2; batch++) {
        insert(p->db, 50);
        test_complete(p->worker, "default", 50);
        check(p, 50 * batch, 0, 0);
    }
    assert_int_equal(rows_in(p->db, "done_entries"), 0);
    assert_int_equal(rows_in(p->db, "closures"), 2);
    assert_int_equal(rows_in(p->db, "queue_terminal_count_deltas"), 0);
    rotate_and_fold(p);
    check(p, 100, 0, 0);
}

static void
a_cancelled_job_counts_wherever_it_was(void **state)
{
    struct place p = open_place(*state);
    struct attempt running;

    test_exec(p.db, "SELECT awa.insert_job('k', p_delay => '1 h')");
    insert(p.db, 2);
    assert_int_equal(test_claim(p.worker, 7, 1, &running), 1);
    for (int id = 1; id <= 3; id++) {
        test_exec(p.operator, test_format("SELECT awa.cancel_job(%d)", id));
        test_counts(p.db);
    }
    assert_string_equal(terminal(p.db), "0|0|3");
    rotate_and_fold(&p);
    test_counts(p.db);
}

/* A slot in which nothing but a delta was folded has no cover. */
static void
a_job_cancelled_in_a_lane_that_nobody_claimed_from_counts_once(void **state)
{
    struct place p = open_place(*state);

    insert(p.db, 2);
    test_exec(p.operator, "SELECT awa.cancel_job(1)");
    rotate_and_fold(&p);
    test_counts(p.db);
    assert_string_equal(terminal(p.db), "0|0|1");
    test_exec(p.operator, "SELECT awa.cancel_job(2)");
    test_counts(p.db);
    test_wait_settled(p.db);
    fold(&p);
    test_counts(p.db);
    assert_string_equal(terminal(p.db), "0|0|2");
}

/* ---- Out --------------------------------------------------------------------------------- */

/* The jobs 1 to n of queue 'default' have failed, the odd ones of kind 'k', the even ones 'l'. */
static void
fail_jobs(const struct place *p, int n)
{
    test_exec(p->db, test_format("SELECT awa.insert_jobs((SELECT array_agg(CASE i %% 2 WHEN 1 THEN"
                                 " 'k' ELSE 'l' END) FROM generate_series(1, %d) AS i))",
                                 n));
    test_end(p->worker, "default", n, "failed");
}

static void
take_failed_jobs_in_every_way(const struct place *p, bool folded)
{
    static const struct {
        const char *sql, *result;
        int left;
    } steps[] = {
        { "SELECT awa.move_to_dlq(1)", "t", 7 },
        { "SELECT changed FROM awa.move_failed_to_dlq(p_kind => 'k', p_limit => 2)", "2", 5 },
        { "SELECT changed FROM awa.discard_failed(p_kind => 'l', p_limit => 1)", "1", 4 },
        { "SELECT awa.retry_job(2)", "t", 3 },
        { "SELECT changed FROM awa.retry_failed(p_queue => 'default', p_limit => 1)", "1", 2 },
        { "SELECT awa.delete_job_compat(4)", "t", 1 },
        { "SELECT changed FROM awa.discard_failed(p_all => true)", "1", 0 },
        { "SELECT changed FROM awa.discard_failed(p_all => true)", "0", 0 },
    };

    fail_jobs(p, 8);
    if (folded)
        rotate_and_fold(p);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        assert_string_equal(test_text(p->operator, steps[i].sql), steps[i].result);
        check(p, 0, steps[i].left, 0);
    }
    assert_string_equal(test_rows(p->db, "SELECT id FROM awa.jobs WHERE dlq_at IS NOT NULL"
                                         " ORDER BY id"),
                        "1 5 7");
    assert_string_equal(test_rows(p->db, "SELECT id FROM awa.jobs WHERE state = 'available'"
                                         " ORDER BY id"),
                        "2 6");
    rotate_and_fold(p);
    check(p, 0, 0, 0);
}

static void
take_failed_jobs(struct place *p)
{
    take_failed_jobs_in_every_way(p, false);
}

static void
take_failed_jobs_out_of_a_folded_slot(struct place *p)
{
    take_failed_jobs_in_every_way(p, true);
}

/* Exactly those that are left. */
static void
move_one_and_then_many(struct place *p)
{
    insert(p->db, 3);
    test_end(p->worker, "default", 3, "failed");
    assert_string_equal(test_text(p->operator, "SELECT awa.move_to_dlq(2)"), "t");
    assert_string_equal(test_text(p->operator, "SELECT awa.move_to_dlq(2)"), "f");
    check(p, 0, 2, 0);
    assert_string_equal(test_rows(p->operator, "SELECT matched, changed, sample FROM"
                                               " awa.move_failed_to_dlq(p_kind => 'k')"),
                        "2|2|{3,1}");
    check(p, 0, 0, 0);
}

static void
delete_one_of_five(struct place *p)
{
    insert(p->db, 5);
    test_complete(p->worker, "default", 5);
    test_exec(p->operator, "DELETE FROM awa.jobs WHERE id = 3");
    check(p, 4, 0, 0);
    assert_string_equal(test_rows(p->db, "SELECT id FROM awa.jobs ORDER BY id"), "1 2 4 5");
    rotate_and_fold(p);
    check(p, 4, 0, 0);
    test_exec(p->operator, "DELETE FROM awa.jobs WHERE state = 'completed'");
    check(p, 0, 0, 0);
}

static void
a_cancelled_job_that_is_retried_is_not_counted(void **state)
{
    struct place p = open_place(*state);

    insert(p.db, 4);
    for (int id = 1; id <= 4; id++)
        test_exec(p.operator, test_format("SELECT awa.cancel_job(%d)", id));
    assert_string_equal(test_text(p.operator, "SELECT awa.retry_job(1)"), "t");
    test_counts(p.db);
    rotate_and_fold(&p);
    assert_string_equal(test_text(p.operator, "SELECT awa.retry_job(2)"), "t");
    assert_string_equal(test_text(p.operator, "SELECT awa.delete_job_compat(3)"), "t");
    test_counts(p.db);
    assert_string_equal(terminal(p.db), "0|0|1");
    test_complete(p.worker, "default", 10);
    test_counts(p.db);
    assert_string_equal(terminal(p.db), "2|0|1");
    test_wait_settled(p.db);
    fold(&p);
    test_counts(p.db);
}

/* A rolled back verb leaves no trace in the counts. */
static void
what_is_rolled_back_counts_as_if_it_had_not_been(void **state)
{
    struct place p = open_place(*state);

    insert(p.db, 3);
    test_end(p.worker, "default", 2, "failed");
    test_exec(p.operator, "BEGIN; SELECT awa.retry_job(1); SELECT awa.cancel_job(3);"
                          " SAVEPOINT s; SELECT awa.discard_failed(p_all => true);"
                          " ROLLBACK TO s; SELECT awa.move_to_dlq(2); ROLLBACK");
    test_counts(p.db);
    assert_string_equal(terminal(p.db), "0|2|0");
    test_exec(p.operator, "BEGIN; SAVEPOINT s; SELECT awa.discard_failed(p_all => true);"
                          " ROLLBACK TO s; SELECT awa.move_to_dlq(2); COMMIT");
    rotate_and_fold(&p);
    test_counts(p.db);
    assert_string_equal(terminal(p.db), "0|1|0");
}

/* ---- Slots ------------------------------------------------------------------------------- */

/* With the slot go its counters, wrong ones, too. */
static void
prune_a_slot(struct place *p)
{
    insert(p->db, 5);
    test_complete(p->worker, "default", 5);
    rotate_and_fold(p);
    check(p, 5, 0, 0);
    assert_true(rows_in(p->db, "queue_terminal_live_counts_0") > 0);
    assert_string_equal(empty_slot(p, 0, "0 s"), "pruned");
    p->poison = 0;
    check(p, 0, 0, 0);
    assert_int_equal(rows_in(p->db, "jobs"), 0);
    assert_int_equal(rows_in(p->db, "queue_terminal_live_counts_0"), 0);
    assert_int_equal(rows_in(p->db, "queue_terminal_count_deltas_0"), 0);
    assert_string_equal(pruned(p->db), "5|0|0");
    assert_string_equal(test_rows(p->db, "SELECT * FROM awa.queue_terminal_rollups"),
                        "default|2|0|5|0|0");
}

/* A counter that has drifted does not get into the rollup. */
static void
a_slot_is_pruned_from_its_facts(void **state)
{
    struct place p = open_place(*state);

    insert(p.db, 8);
    test_complete(p.worker, "default", 3);
    test_end(p.worker, "default", 3, "failed");
    test_exec(p.operator, "SELECT awa.cancel_job(7), awa.cancel_job(8), awa.retry_job(4),"
                          " awa.retry_job(8), awa.delete_job_compat(1)");
    test_counts(p.db);
    rotate_and_fold(&p);
    poison(p.db, 999);
    test_exec(p.db, "INSERT INTO awa.queue_terminal_count_deltas (lane_id, failed, ready_slot)"
                    " VALUES (1, 999, 0)");
    assert_string_equal(empty_slot(&p, 0, "1 year"), "pruned");
    test_counts(p.db);
    assert_string_equal(pruned(p.db), "2|2|1");
}

static void
a_job_that_is_carried_is_counted_where_it_is(void **state)
{
    struct place p = open_place(*state);
    struct attempt running;

    insert(p.db, 1);
    running = test_claim_one(p.worker, 7);
    insert(p.db, 4);
    test_end(p.worker, "default", 2, "failed");
    for (int slot = 0; slot < 3; slot++) {
        if (slot % 2 == 0)
            rotate_and_fold(&p);
        else
            rotate(p.db);
        test_counts(p.db);
        assert_string_equal(empty_slot(&p, slot, "0 s"), "pruned");
        test_counts(p.db);
        assert_string_equal(test_rows(p.db, "SELECT available, running, failed"
                                            " FROM awa.queue_counts()"),
                            "2|1|2");
    }
    assert_string_equal(test_text(p.operator, "SELECT awa.retry_job(2)"), "t");
    test_counts(p.db);
    assert_string_equal(test_close(p.worker, &running, "failed"), "failed");
    test_counts(p.db);
    assert_string_equal(terminal(p.db), "0|2|0");
    rotate_and_fold(&p);
    assert_string_equal(empty_slot(&p, 3, "1 year"), "pruned");
    test_counts(p.db);
    assert_string_equal(pruned(p.db), "0|2|0");
}

/* ---- The same with poison ---------------------------------------------------------------- */

/* Each check of the scenario finds the wrong counter that was there before, and only that. */
static void
run_poisoned(PGconn *db, void (*scenario)(struct place *p))
{
    struct place p = open_place(db);

    p.poison = 999;
    test_lane(db, 2);
    poison(db, p.poison);
    scenario(&p);
    assert_int_equal(test_int(p.operator, "SELECT coalesce(sum(corrected), 0)"
                                          " FROM awa.rebuild_terminal_counters()"),
                     p.poison);
    test_counts(db);
}

#define SCENARIO(name, scenario)                        \
    static void name(void **state)                      \
    {                                                   \
        struct place p = open_place(*state);            \
                                                        \
        scenario(&p);                                   \
    }                                                   \
    static void name##_or_the_check_bites(void **state) \
    {                                                   \
        run_poisoned(*state, scenario);                 \
    }

SCENARIO(batches_through_done_entries_count, end_batches_with_done_entries)
SCENARIO(compact_batches_count_and_leave_one_row_each, end_compact_batches)
SCENARIO(a_failed_job_is_counted_until_it_is_taken, take_failed_jobs)
SCENARIO(a_failed_job_is_counted_until_it_is_taken_out_of_a_folded_slot,
         take_failed_jobs_out_of_a_folded_slot)
SCENARIO(moving_one_and_then_many_takes_exactly_those_that_are_left, move_one_and_then_many)
SCENARIO(one_of_five_is_deleted, delete_one_of_five)
SCENARIO(a_pruned_slot_is_a_number, prune_a_slot)

/* ---- Folding ----------------------------------------------------------------------------- */

static void
folding_again_changes_nothing(void **state)
{
    struct place p = open_place(*state);
    int64_t folded;

    insert(p.db, 6);
    test_complete(p.worker, "default", 2);
    test_end(p.worker, "default", 2, "failed");
    test_exec(p.operator, "SELECT awa.cancel_job(5)");
    rotate_and_fold(&p);
    test_counts(p.db);
    folded = rows_in(p.db, "queue_terminal_live_counts");
    assert_true(folded > 0);
    fold(&p);
    fold(&p);
    test_counts(p.db);
    assert_int_equal(rows_in(p.db, "queue_terminal_live_counts"), folded);
    assert_int_equal(test_int(p.db, "SELECT sum(completed + failed + cancelled)"
                                    " FROM awa.queue_terminal_live_counts"),
                     5);
}

/* What still runs, waits, or may yet appear when a slot is folded counts when it has ended. */
static void
what_is_open_when_a_slot_is_folded_counts_later(void **state)
{
    struct place p = open_place(*state);
    PGconn *late = test_connect(p.db, "producer");
    struct attempt running, gap;

    test_lane(p.db, 2);
    insert(p.db, 1);
    running = test_claim_one(p.worker, 7);
    test_exec(late, "BEGIN");
    test_insert(late);
    insert(p.db, 3);
    test_complete(p.worker, "default", 1);
    test_end(p.worker, "default", 1, "failed"); /* job 2 is a gap, job 5 waits */
    rotate(p.db);
    fold(&p);
    test_counts(p.db);
    test_exec(late, "COMMIT");
    test_counts(p.db);
    fold(&p);
    test_counts(p.db);

    assert_int_equal(test_claim(p.worker, 7, 1, &gap), 1);
    fold(&p);
    test_counts(p.db);
    test_exec(p.worker, test_complete_sql(&gap));
    test_counts(p.db);
    assert_string_equal(test_close(p.worker, &running, "failed"), "failed");
    test_counts(p.db);
    test_exec(p.operator, "SELECT awa.cancel_job(id) FROM awa.jobs WHERE state = 'available'");
    test_counts(p.db);
    assert_string_equal(terminal(p.db), "2|2|1");
    test_wait_settled(p.db);
    fold(&p);
    test_counts(p.db);
    assert_string_equal(terminal(p.db), "2|2|1");
    assert_string_equal(test_rows(p.db, "SELECT sum(completed), sum(failed), sum(cancelled)"
                                        " FROM awa.queue_terminal_live_counts"),
                        "2|2|1");
}

/* The delta of a transaction that is open while its slot is folded is not passed over. */
static void
a_delta_that_is_committed_after_a_fold_counts(void **state)
{
    struct place p = open_place(*state);

    insert(p.db, 3);
    test_end(p.worker, "default", 2, "failed");
    test_exec(p.operator, "BEGIN; SELECT awa.retry_job(1); SELECT awa.cancel_job(3)");
    rotate(p.db);
    fold(&p);
    test_counts(p.db);
    assert_string_equal(terminal(p.db), "0|2|0");
    test_exec(p.operator, "COMMIT");
    test_counts(p.db);
    assert_string_equal(terminal(p.db), "0|1|1");
    test_wait_settled(p.db);
    fold(&p);
    fold(&p);
    test_counts(p.db);
    assert_string_equal(terminal(p.db), "0|1|1");
}

/* Two leaders at once, of which one decides on an old snapshot, would fold everything twice. */
static void
maintenance_on_an_old_snapshot_is_refused(void **state)
{
    static const char *const calls[] = {
        "SELECT awa.turn_ring()",
        "SELECT awa.rotate_ring(true)",
        "SELECT awa.checkpoint_heads(0::smallint)",
        "SELECT awa.carry_forward(0::smallint)",
        "SELECT awa.prune_slot(0::smallint)",
        "SELECT awa.sweep_gaps()",
        "SELECT awa.rebuild_terminal_counters()",
    };
    struct place p = open_place(*state);
    PGconn *old = test_connect(p.db, NULL);

    insert(p.db, 2);
    test_end(p.worker, "default", 2, "failed");
    rotate_and_fold(&p);
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        test_exec(old, "BEGIN ISOLATION LEVEL REPEATABLE READ");
        test_expect_error(old, "JQ001", calls[i]);
        test_exec(old, "ROLLBACK; BEGIN ISOLATION LEVEL SERIALIZABLE");
        test_expect_error(old, "JQ001", calls[i]);
        test_exec(old, "ROLLBACK");
    }
    test_counts(p.db);
}

static void
an_old_snapshot_counts_its_own_jobs_while_slots_are_folded(void **state)
{
    struct place p = open_place(*state);
    PGconn *old = test_connect(p.db, NULL);
    const char *then;

    test_make_recount(p.db);
    insert(p.db, 9);
    test_complete(p.worker, "default", 3);
    test_end(p.worker, "default", 3, "failed");
    test_exec(p.operator, "SELECT awa.cancel_job(7)");
    test_exec(old, "BEGIN ISOLATION LEVEL REPEATABLE READ");
    then = test_text(old, "SELECT counts FROM test.recount()");
    rotate(p.db);
    fold(&p);
    test_exec(p.operator, "SELECT awa.retry_failed(p_kind => 'k', p_limit => 2)");
    test_exec(p.operator, "SELECT awa.retry_job(7), awa.cancel_job(8)");
    fold(&p);
    test_end(p.worker, "default", 9, "failed");
    rotate(p.db);
    fold(&p);
    test_counts(p.db);
    test_counts(old);
    assert_string_equal(test_text(old, "SELECT counts FROM test.recount()"), then);
}

/* The horizon is pinned, and yet nothing is left behind: so nobody has to stand down for it. */
static void
folding_while_an_old_snapshot_is_held_leaves_no_dead_row(void **state)
{
    static const char written[] =
        "SELECT sum(pg_stat_get_tuples_inserted(c.oid)), sum(pg_stat_get_tuples_updated(c.oid)"
        " + pg_stat_get_tuples_deleted(c.oid) + pg_stat_get_dead_tuples(c.oid))"
        "  FROM pg_class AS c WHERE c.relnamespace = 'awa'::regnamespace AND c.relkind = 'r'"
        "   AND c.relname ~ '^queue_terminal_(live_counts|count_deltas|rollups)'";
    struct place p = open_place(*state);
    PGconn *old = test_connect(p.db, NULL);

    test_exec(old, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM awa.queues");
    for (int slot = 0; slot < 3; slot++) {
        insert(p.db, 9);
        test_complete(p.worker, "default", 3);
        test_end(p.worker, "default", 3, "failed");
        test_exec(p.operator, "SELECT awa.retry_failed(p_all => true, p_limit => 1)");
        rotate(p.db);
        fold(&p);
        test_exec(p.operator, "SELECT awa.retry_failed(p_all => true, p_limit => 1)");
        fold(&p);
        test_counts(p.db);
    }
    test_exec(p.worker, "SELECT pg_stat_force_next_flush()");
    test_exec(p.operator, "SELECT pg_stat_force_next_flush()");
    test_wait_until(p.db, test_format("SELECT w.sum > 6 FROM (%s) AS w (sum, dead)", written),
                    10000);
    assert_int_equal(
        test_int(p.db, test_format("SELECT w.dead FROM (%s) AS w (sum, dead)", written)), 0);
}

/* ---- Trust ------------------------------------------------------------------------------- */

/* The check of all these tests, checked. */
static void
the_check_bites(void **state)
{
    struct place p = open_place(*state);

    insert(p.db, 7);
    poison(p.db, 999);
    test_complete(p.worker, "default", 2);
    assert_non_null(strstr(test_trouble(p.db), "counted, not there: (0,default,2,0,1001,"));
    assert_non_null(strstr(test_trouble(p.db), "there, not told: (default,5,"));
    test_exec(p.db, "UPDATE awa.queue_terminal_live_counts SET completed = 0");
    test_counts(p.db);
    test_exec(p.db, "UPDATE awa.closures SET n = n + 1");
    assert_non_null(strstr(test_trouble(p.db), "scanned, not there: (0,default,2,0,3,"));
    test_exec(p.db, "UPDATE awa.closures SET n = n - 1");
    test_counts(p.db);
    test_exec(p.db, "INSERT INTO awa.queue_terminal_count_deltas (lane_id, completed, failed,"
                    " ready_slot) VALUES (1, -1, 1, 0)");
    assert_non_null(strstr(test_trouble(p.db), "counted, not there: (0,default,2,0,1,1,0)"));
}

static void
a_rebuild_puts_poisoned_counters_right(void **state)
{
    struct place p = open_place(*state);

    insert(p.db, 7);
    test_complete(p.worker, "default", 7);
    poison(p.db, 999);
    assert_string_equal(terminal(p.db), "1006|0|0");
    assert_string_equal(test_rows(p.operator, "SELECT * FROM awa.rebuild_terminal_counters(true)"),
                        "default|1006|7|999");
    assert_string_equal(terminal(p.db), "1006|0|0");
    assert_string_equal(test_rows(p.operator, "SELECT * FROM awa.rebuild_terminal_counters()"),
                        "default|1006|7|999");
    test_counts(p.db);
    assert_string_equal(terminal(p.db), "7|0|0");
    assert_string_equal(test_rows(p.operator, "SELECT * FROM awa.rebuild_terminal_counters()"),
                        "default|7|7|0");
    rotate_and_fold(&p);
    test_counts(p.db);
    test_exec(p.operator, "DELETE FROM awa.jobs WHERE id = 1");
    test_counts(p.db);
    assert_string_equal(empty_slot(&p, 0, "0 s"), "pruned");
    assert_string_equal(pruned(p.db), "6|0|0");
    test_counts(p.db);
}

/* What a rebuild has done counts from its commit on, the trust included. */
static void
a_rebuild_that_is_rolled_back_changes_nothing(void **state)
{
    struct place p = open_place(*state);

    insert(p.db, 7);
    test_complete(p.worker, "default", 7);
    poison(p.db, 999);
    test_exec(p.db, "UPDATE awa.settings SET terminal_counters_trusted_at = NULL");
    test_exec(p.operator, "BEGIN; SELECT awa.rebuild_terminal_counters(); ROLLBACK");
    assert_null(test_text(p.db, "SELECT terminal_counters_trusted_at FROM awa.settings"));
    assert_string_equal(terminal(p.db), "7|0|0");
    test_exec(p.operator, "SELECT awa.rebuild_terminal_counters(true)");
    assert_null(test_text(p.db, "SELECT terminal_counters_trusted_at FROM awa.settings"));
    test_exec(p.operator, "SELECT awa.rebuild_terminal_counters()");
    assert_string_equal(terminal(p.db), "7|0|0");
    test_counts(p.db);
}

/* Poisoned in every child, for every lane, while jobs go on. */
static void
a_rebuild_works_in_folded_slots_and_in_the_current_one(void **state)
{
    struct place p = open_place(*state);

    insert(p.db, 20);
    test_complete(p.worker, "default", 5);
    test_end(p.worker, "default", 5, "failed");
    rotate_and_fold(&p);
    test_exec(p.operator, "SELECT awa.retry_failed(p_kind => 'k', p_limit => 2)");
    test_complete(p.worker, "default", 5);
    test_exec(p.db, "INSERT INTO awa.queue_terminal_live_counts (completed, failed, cancelled,"
                    " deltas_xid, lane_id, priority, enqueue_shard, ready_slot, queue, cover)"
                    " SELECT 3, -2, 1, '0', l.lane_id, l.priority, l.enqueue_shard, s, l.queue,"
                    " '{}' FROM awa.lanes AS l, generate_series(0, 1) AS s");
    assert_int_equal(test_int(p.operator, "SELECT sum(corrected)"
                                          " FROM awa.rebuild_terminal_counters()"),
                     12);
    test_counts(p.db);
    rotate_and_fold(&p);
    test_counts(p.db);
}

/* One closure, read in two windows: its jobs lie far apart. */
static void
a_closure_of_distant_jobs_counts_once(void **state)
{
    struct place p = open_place(*state);

    insert(p.db, 300);
    test_exec(p.worker, "SELECT awa.close_jobs(7, array_agg(c.ready_slot), array_agg(c.claim_id),"
                        " array_agg(c.pos), '{failed,failed}')"
                        " FROM awa.claim_jobs(7, 'default', 300) AS c WHERE c.id IN (1, 300)");
    assert_int_equal(test_int(p.db, "SELECT count(*) FROM awa.closures"), 1);
    assert_string_equal(terminal(p.db), "0|2|0");
    test_exec(p.operator, "SELECT awa.retry_failed(p_kind => 'k')");
    assert_string_equal(terminal(p.db), "0|0|0");
    test_counts(p.db);
}

static void
without_trust_readers_scan(void **state)
{
    struct place p = open_place(*state);

    insert(p.db, 9);
    test_complete(p.worker, "default", 3);
    test_end(p.worker, "default", 2, "failed");
    rotate_and_fold(&p);
    test_exec(p.operator, "SELECT awa.cancel_job(6), awa.retry_job(4)");
    test_counts(p.db);
    poison(p.db, 999);
    test_exec(p.db, "UPDATE awa.settings SET terminal_counters_trusted_at = NULL");
    assert_string_equal(test_rows(p.db, "SELECT available, running, completed, failed, cancelled"
                                        " FROM awa.queue_counts()"),
                        "4|0|3|1|1");
    test_exec(p.operator, "SELECT awa.rebuild_terminal_counters()");
    assert_string_equal(test_text(p.db, "SELECT terminal_counters_trusted_at IS NOT NULL"
                                        " FROM awa.settings"),
                        "t");
    test_counts(p.db);
}

/* ---- Gauges ------------------------------------------------------------------------------ */

/* Columns of awa.measure_gauges() that break their word, in any queue. */
static const char out_of_bounds[] =
    "SELECT coalesce(string_agg(f.queue || ': ' || f || ' ' || c, ' '), '')"
    "  FROM unnest(awa.measure_gauges()) AS f JOIN awa.queue_counts() AS c USING (queue)"
    " WHERE f.available < c.available OR f.deferred > c.scheduled + c.retryable"
    "    OR f.running > c.running OR f.dead_lettered > c.dead_lettered"
    "    OR f.completed > c.completed + c.pruned_completed"
    "    OR f.cancelled > c.cancelled + c.pruned_cancelled";

static void
gauges_keep_within_their_bounds(void **state)
{
    for (unsigned seed = 1; seed <= 3; seed++) {
        test_shake(*state, seed, 120);
        assert_string_equal(test_text(*state, out_of_bounds), "");
        test_wait_settled(*state); /* or what was taken back would not be folded */
        test_exec(*state, "SELECT awa.turn_ring(clock_timestamp() + interval '2 min')");
        assert_string_equal(test_text(*state, out_of_bounds), "");
        test_exec(*state, "DELETE FROM awa.workers");
    }
    test_counts(*state);
}

static void
gauges_are_exact_when_nothing_is_left_to_fold(void **state)
{
    struct place p = open_place(*state);

    insert(p.db, 10);
    test_complete(p.worker, "default", 4);
    test_end(p.worker, "default", 3, "failed");
    test_exec(p.db, "SELECT awa.insert_job('k', p_delay => '1 h')");
    test_exec(p.operator, "SELECT awa.move_to_dlq(5)");
    rotate_and_fold(&p);
    assert_string_equal(test_rows(p.db, "SELECT * FROM awa.queue_counts_fast()"),
                        "default|3|1|0|4|2|0|1");
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_DB(batches_through_done_entries_count),
        TEST_DB(batches_through_done_entries_count_or_the_check_bites),
        TEST_DB(compact_batches_count_and_leave_one_row_each),
        TEST_DB(compact_batches_count_and_leave_one_row_each_or_the_check_bites),
        TEST_DB(a_cancelled_job_counts_wherever_it_was),
        TEST_DB(a_job_cancelled_in_a_lane_that_nobody_claimed_from_counts_once),
        TEST_DB(a_failed_job_is_counted_until_it_is_taken),
        TEST_DB(a_failed_job_is_counted_until_it_is_taken_or_the_check_bites),
        TEST_DB(a_failed_job_is_counted_until_it_is_taken_out_of_a_folded_slot),
        TEST_DB(a_failed_job_is_counted_until_it_is_taken_out_of_a_folded_slot_or_the_check_bites),
        TEST_DB(moving_one_and_then_many_takes_exactly_those_that_are_left),
        TEST_DB(moving_one_and_then_many_takes_exactly_those_that_are_left_or_the_check_bites),
        TEST_DB(one_of_five_is_deleted),
        TEST_DB(one_of_five_is_deleted_or_the_check_bites),
        TEST_DB(a_cancelled_job_that_is_retried_is_not_counted),
        TEST_DB(what_is_rolled_back_counts_as_if_it_had_not_been),
        TEST_DB(a_pruned_slot_is_a_number),
        TEST_DB(a_pruned_slot_is_a_number_or_the_check_bites),
        TEST_DB(a_slot_is_pruned_from_its_facts),
        TEST_DB(a_job_that_is_carried_is_counted_where_it_is),
        TEST_DB(a_closure_of_distant_jobs_counts_once),
        TEST_DB(folding_again_changes_nothing),
        TEST_DB(what_is_open_when_a_slot_is_folded_counts_later),
        TEST_DB(a_delta_that_is_committed_after_a_fold_counts),
        TEST_DB(maintenance_on_an_old_snapshot_is_refused),
        TEST_DB(an_old_snapshot_counts_its_own_jobs_while_slots_are_folded),
        TEST_DB(folding_while_an_old_snapshot_is_held_leaves_no_dead_row),
        TEST_DB(the_check_bites),
        TEST_DB(a_rebuild_puts_poisoned_counters_right),
        TEST_DB(a_rebuild_that_is_rolled_back_changes_nothing),
        TEST_DB(a_rebuild_works_in_folded_slots_and_in_the_current_one),
        TEST_DB(without_trust_readers_scan),
        TEST_DB(gauges_keep_within_their_bounds),
        TEST_DB(gauges_are_exact_when_nothing_is_left_to_fold),
    };

    return TEST_RUN(tests);
}
