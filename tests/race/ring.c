/* SPDX-License-Identifier: MIT */
/* Rotation, checkpoints and the prune, with producers and claimers in the middle of something. */
#include "test_jobs.h"

#include <inttypes.h>
#include <poll.h>
#include <string.h>

#include "cli/spawn.h"

#define PRUNE "SELECT awa.prune_slot(0::smallint)"
#define LOOK  "BEGIN; SELECT count(*) FROM awa.claims"

enum {
    PATIENCE_MS = 2000, /* for something that gives up after 10 ms */
    BUSY_MS = 150,      /* more than that, less than 200 ms */
    BUSY_ROUNDS = 3,    /* beside so few a short lock_timeout has no luck */
};

/* A database in which slot 0 is sealed and holds nothing that is alive. */
static void
seal_slot_0(PGconn *db, PGconn *worker)
{
    struct attempt a;

    test_lane(db, 2);
    test_insert(db);
    a = test_claim_one(worker, 7);
    test_exec(worker, test_complete_sql(&a));
    test_exec(db, "SELECT awa.rotate_ring(true)");
}

static void
expect_quickly(PGconn *conn, const char *sql, const char *want)
{
    int64_t began = now_ms();

    assert_string_equal(test_text(conn, sql), want);
    assert_true(now_ms() - began < PATIENCE_MS);
}

/* The statement that writes a job at a position which is reserved now, in the slot of now. */
static const char *
reserve_entry(PGconn *bulk)
{
    return test_rows(bulk, "SELECT format('INSERT INTO awa.ready_entries (pos, id, enqueued_at,"
                           " ready_slot, attempt, max_attempts, kind, args) VALUES (%s, %s, now(),"
                           " %s, 0, 1, ''k'', ''{}'')', r.first_pos, r.first_id, r.ready_slot)"
                           " FROM awa.reserve_positions('{default}', '{2}', '{NULL}', '{1}') AS r");
}

static void
a_slot_with_an_insert_in_flight_is_not_pruned(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *late = test_connect(db, "producer");
    int64_t id;

    test_lane(db, 2);
    test_exec(late, "BEGIN");
    id = test_insert(late);
    seal_slot_0(db, worker);
    test_exec(worker, "SELECT awa.checkpoint_heads(0::smallint)");
    expect_quickly(worker, PRUNE, "busy");
    test_exec(late, "COMMIT");
    expect_quickly(worker, PRUNE, "alive");
    assert_int_equal(test_claim_one(worker, 7).id, id);
}

/* Until it has committed, the attempt is alive; and it is never held up. */
static void
a_slot_with_an_end_in_flight_is_not_pruned(void **state)
{
    static const struct {
        const char *end;  /* of an attempt */
        const char *then; /* of the prune, once it has committed */
    } cases[] = {
        { "SELECT awa.complete_jobs(<worker>, '{<slot>}', '{<claim>}', '{\"{[<pos>,<pos>]}\"}')",
          "pruned" },
        { "SELECT awa.complete_job(<worker>, <claim>, <pos>)", "pruned" },
        { "SELECT * FROM awa.close_jobs(<worker>, '{<slot>}', '{<claim>}', '{<pos>}', '{retried}')",
          "pruned" },
        { "SELECT * FROM awa.close_jobs(<worker>, '{<slot>}', '{<claim>}', '{<pos>}', '{failed}')",
          "alive" }, /* it is kept for its retention */
    };
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *leader = test_connect(db, "worker");

    for (size_t i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
        int64_t id = test_insert(db);
        struct attempt a = test_claim_one(worker, 7);
        const char *prune = test_format("SELECT awa.prune_slot('%d')", a.slot);
        const char *end = test_attempt_sql(cases[i / 2].end, &a);

        test_exec(db, "SELECT awa.rotate_ring(true)");
        test_exec(leader, test_format("SELECT awa.checkpoint_heads('%d')", a.slot));
        test_exec(worker, "SET statement_timeout = '5 s'; BEGIN");
        test_exec(worker, end);
        expect_quickly(leader, prune, "alive");
        if (i % 2 == 0) {
            test_exec(worker, "ROLLBACK");
            expect_quickly(leader, prune, "alive");
            assert_string_equal(test_state(db, id), "running");
            test_exec(worker, end);
        } else {
            test_exec(worker, "COMMIT");
        }
        expect_quickly(leader, prune, cases[i / 2].then);
    }
    assert_int_equal(test_count(db, "retryable"), 2);
    assert_int_equal(test_count(db, "failed"), 2);
    assert_int_equal(test_int(db, "SELECT count(*) FROM awa.jobs"), 4);
}

/* The prune has its locks; the end waits, and finds that there is nothing left to end. */
static void
an_end_that_comes_during_a_prune_is_stale(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *leader = test_connect(db, "worker");
    struct attempt a;

    test_insert(db);
    a = test_claim_one(worker, 7);
    test_exec(db, test_complete_sql(&a));
    test_exec(db, "SELECT awa.rotate_ring(true)");
    test_exec(worker, "SELECT awa.checkpoint_heads(0::smallint)");
    test_exec(leader, "BEGIN");
    assert_string_equal(test_text(leader, PRUNE), "pruned");
    test_send(worker, test_close_sql(&a, "failed", ""));
    test_wait_blocked(db, worker);
    test_exec(leader, "COMMIT");
    assert_string_equal(test_answer(worker), "stale");
    assert_string_equal(test_text(worker, test_complete_sql(&a)), "{}");
    assert_int_equal(test_int(db, "SELECT count(*) FROM awa.jobs"), 0);
}

/* It knows its slot, and draws its positions, before the slot is sealed, pruned and opened again.
 */
static void
an_entry_that_lands_in_a_pruned_slot_is_claimed(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *bulk = test_connect(db, "bulk");

    test_lane(db, 2);
    test_exec(bulk, "BEGIN");
    test_exec(bulk, "CREATE TEMP TABLE reserved AS SELECT * FROM"
                    " awa.reserve_positions('{NULL}', '{NULL}', '{NULL}', '{1}')");
    seal_slot_0(db, worker);
    test_exec(worker, "SELECT awa.checkpoint_heads(0::smallint)");
    assert_string_equal(test_text(worker, PRUNE), "pruned");
    test_exec(bulk, "INSERT INTO awa.ready_entries (pos, id, enqueued_at, ready_slot, attempt,"
                    " max_attempts, kind, args) SELECT first_pos, first_id, now(), ready_slot, 0,"
                    " max_attempts, 'k', '{}' FROM reserved");
    test_exec(bulk, "COMMIT");
    assert_string_equal(test_text(worker, PRUNE), "alive");
    test_claim_one(worker, 7);
    assert_string_equal(test_text(worker, PRUNE), "alive");
    assert_int_equal(test_int(worker, "SELECT awa.carry_forward(0::smallint)"), 1);
    test_exec(worker, "SELECT awa.checkpoint_heads(0::smallint)");
    assert_string_equal(test_text(worker, PRUNE), "pruned");
    assert_int_equal(test_count(db, "running"), 1);
}

static void
a_prune_yields_to_a_claim(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *leader = test_connect(db, "worker");

    seal_slot_0(db, worker);
    test_exec(worker, "SELECT awa.checkpoint_heads(0::smallint)");
    test_insert(db);
    test_exec(worker, "BEGIN");
    test_claim_one(worker, 7);
    expect_quickly(leader, PRUNE, "busy");
    test_exec(worker, "COMMIT");
    expect_quickly(leader, PRUNE, "pruned");
}

/* The prune has its locks; the claim waits, and then knows where the lane stands. */
static void
a_claim_that_waits_for_a_prune_reads_the_new_head(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *leader = test_connect(db, "worker");

    seal_slot_0(db, worker);
    test_exec(worker, "SELECT awa.checkpoint_heads(0::smallint)");
    test_insert(db);
    test_exec(leader, "BEGIN");
    assert_string_equal(test_text(leader, PRUNE), "pruned");
    test_send(worker, "SELECT id FROM awa.claim_jobs(7, 'default', 10)");
    test_wait_blocked(db, worker);
    test_exec(leader, "COMMIT");
    assert_string_equal(test_answer(worker), "2");
    test_exec(db, "SELECT awa.rotate_ring(true)");
    assert_string_equal(test_claim_ids(worker, 7, 10), "");
}

/* A claimer has the entries and wants the claims; the pruner comes from the other side. */
static void
a_prune_and_a_claim_do_not_wait_in_a_circle(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *leader = test_connect(db, "worker");
    PGconn *report = test_connect(db, NULL);

    seal_slot_0(db, worker);
    test_exec(worker, "SELECT awa.checkpoint_heads(0::smallint)");
    test_insert(db);
    /* what is in the slot is settled before the claim begins: it does not wait for its snapshot */
    test_exec(report, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1");
    expect_quickly(leader, PRUNE, "snapshots");
    test_exec(report, "COMMIT");
    test_gate(db, "claim_lane", "v_search.claim_id := awa.write_claim");
    test_gate_shut(db);
    test_send(worker, "SELECT id FROM awa.claim_jobs(7, 'default', 10)");
    test_wait_at_gate(db, worker);
    expect_quickly(leader, PRUNE, "busy");
    test_gate_open(db);
    assert_string_equal(test_answer(worker), "2");
    expect_quickly(leader, PRUNE, "pruned");
}

static void
a_lane_does_not_lose_its_head(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *claimer = test_connect(db, "worker");

    seal_slot_0(db, worker);
    assert_string_equal(test_text(worker, PRUNE), "heads");
    /* a lane that is busy keeps its head where it is */
    test_exec(claimer, "BEGIN");
    test_insert(db);
    assert_string_equal(test_claim_ids(claimer, 7, 1), "2");
    assert_int_equal(test_int(worker, "SELECT awa.checkpoint_heads(0::smallint)"), 1);
    test_exec(claimer, "ROLLBACK");
    assert_string_equal(test_text(worker, PRUNE), "heads");
    assert_int_equal(test_int(worker, "SELECT awa.checkpoint_heads(0::smallint)"), 0);
    assert_int_equal(test_int(worker, "SELECT awa.checkpoint_heads(0::smallint)"), 0);
    assert_string_equal(test_text(worker, PRUNE), "pruned");
    assert_string_equal(test_claim_ids(worker, 7, 10), "2");
    assert_int_equal(test_int(db, "SELECT count(*) FROM awa.claims"), 2);
}

/* The lane moves on between the checkpoint's first look and its lock. */
static void
a_checkpoint_never_puts_a_lane_back(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *leader = test_connect(db, "worker");

    seal_slot_0(db, worker);
    test_insert(db);
    test_gate(db, "checkpoint_heads", "IF NOT awa.try_lane");
    test_gate_shut(db);
    test_send(leader, "SELECT awa.checkpoint_heads(0::smallint)");
    test_wait_at_gate(db, leader);
    assert_string_equal(test_claim_ids(worker, 7, 10), "2");
    test_gate_open(db);
    assert_string_equal(test_answer(leader), "0");
    assert_string_equal(test_claim_ids(worker, 7, 10), "");
    assert_string_equal(test_text(leader, PRUNE), "pruned");
    assert_string_equal(test_claim_ids(worker, 7, 10), "");
}

/* A claim in the sealed slot, after its head was repeated elsewhere. */
static void
a_newer_claim_in_a_sealed_slot_is_the_head(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7);
    struct attempt a;

    seal_slot_0(db, worker);
    test_exec(worker, "SELECT awa.checkpoint_heads(0::smallint)");
    test_exec(db,
              "UPDATE awa.ring_rotations SET generation = generation * -1 WHERE ready_slot = 1");
    test_insert(db); /* as if its transaction had looked before the rotation */
    test_exec(db,
              "UPDATE awa.ring_rotations SET generation = generation * -1 WHERE ready_slot = 1");
    a = test_claim_one(worker, 7);
    assert_int_equal(a.slot, 0);
    test_exec(worker, test_complete_sql(&a));
    assert_string_equal(test_text(worker, PRUNE), "heads");
    test_exec(worker, "SELECT awa.checkpoint_heads(0::smallint)");
    assert_string_equal(test_text(worker, PRUNE), "pruned");
    assert_string_equal(test_claim_ids(worker, 7, 10), "");
}

static void
two_rotations_at_once_are_one(void **state)
{
    PGconn *db = *state;
    PGconn *first = test_connect(db, NULL), *second = test_connect(db, NULL);

    test_insert(db);
    test_exec(first, "BEGIN");
    assert_string_equal(test_rows(first, "SELECT awa.rotate_ring(true)"), "1");
    assert_string_equal(test_rows(second, "SELECT awa.rotate_ring(true)"), "");
    test_exec(first, "COMMIT");
    assert_string_equal(test_rows(second, "SELECT awa.rotate_ring(true)"), "");
    test_insert(db);
    assert_string_equal(test_rows(second, "SELECT awa.rotate_ring(true)"), "2");
}

static void
two_prunes_at_once_do_not_wait_for_each_other(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *leader = test_connect(db, "worker");

    seal_slot_0(db, worker);
    test_exec(worker, "SELECT awa.checkpoint_heads(0::smallint)");
    test_exec(leader, "BEGIN");
    assert_string_equal(test_text(leader, PRUNE), "pruned");
    expect_quickly(worker, PRUNE, "busy");
    test_exec(leader, "ROLLBACK");
    expect_quickly(worker, PRUNE, "pruned");
}

/* One transaction, open for hours, that put a job into the oldest slot. */
static void
a_slot_that_is_held_open_does_not_stop_the_ring(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *late = test_connect(db, "producer");
    int64_t pruned = 0;

    test_exec(db, "UPDATE awa.settings SET completed_retention = '0 s', slot_age = '1 us'");
    test_lane(db, 2);
    test_exec(late, "BEGIN");
    test_insert(late);
    for (int turn = 0; turn < 40; turn++) {
        const char *slot;
        struct attempt a;

        test_insert(db);
        a = test_claim_one(worker, 7);
        test_exec(worker, test_complete_sql(&a));
        slot = test_rows(worker, "SELECT to_prune FROM awa.turn_ring()");
        if (*slot == '\0')
            continue;
        test_exec(worker, test_format("SELECT awa.checkpoint_heads('%s')", slot));
        test_exec(worker, test_format("SELECT awa.carry_forward('%s')", slot));
        pruned += strcmp(test_text(worker, test_format("SELECT awa.prune_slot('%s')", slot)),
                         "pruned") == 0;
    }
    if (pruned < 20)
        fail_msg("%" PRId64 " of 40 turns emptied a slot", pruned);
    test_exec(late, "COMMIT");
    assert_string_equal(test_claim_ids(worker, 7, 10), "1");
}

/* ---- Old snapshots ----------------------------------------------------------------------- */

static const char waits_in_0[] = "SELECT count(*) FROM awa.ready_entries WHERE ready_slot = 0";

/* As pg_dump does: it has a snapshot, and reads the tables one after the other, later. */
static void
a_snapshot_keeps_the_jobs_that_it_shows(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *leader = test_connect(db, "worker");
    PGconn *dump = test_connect(db, NULL), *helper = test_connect(db, NULL);
    PGconn *younger = test_connect(db, NULL);
    const char *snapshot;

    test_lane(db, 2);
    test_insert(db);
    test_exec(dump, "BEGIN ISOLATION LEVEL REPEATABLE READ");
    snapshot = test_text(dump, "SELECT pg_export_snapshot()");
    test_exec(db, "SELECT awa.rotate_ring(true)");
    test_exec(leader, "SELECT awa.checkpoint_heads(0::smallint)");
    assert_int_equal(test_int(leader, "SELECT awa.carry_forward(0::smallint)"), 1);
    expect_quickly(leader, PRUNE, "snapshots");
    /* who comes after what lived there was carried sees it elsewhere: nobody waits for that */
    test_exec(younger, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1");
    expect_quickly(leader, PRUNE, "snapshots");
    test_exec(helper, "BEGIN ISOLATION LEVEL REPEATABLE READ");
    test_exec(helper, test_format("SET TRANSACTION SNAPSHOT '%s'", snapshot));
    assert_int_equal(test_int(helper, waits_in_0), 1);
    assert_int_equal(test_int(dump, "SELECT count(*) FROM awa.jobs"), 1);
    test_exec(helper, "COMMIT");
    test_exec(dump, "COMMIT");
    expect_quickly(leader, PRUNE, "pruned");
    assert_int_equal(test_int(younger, "SELECT count(*) FROM awa.jobs"), 1);
    test_exec(younger, "COMMIT");
    test_claim_one(worker, 7);
}

/* A query that goes on, in READ COMMITTED: a cursor has a snapshot as long as it is open. */
static void
an_open_cursor_keeps_the_jobs_that_it_shows(void **state)
{
    PGconn *db = *state;
    PGconn *leader = test_connect(db, "worker"), *report = test_connect(db, NULL);

    test_lane(db, 2);
    test_insert(db);
    test_exec(report, "BEGIN; DECLARE c CURSOR FOR SELECT 1 FROM pg_class");
    test_exec(db, "SELECT awa.rotate_ring(true)");
    test_exec(leader, "SELECT awa.checkpoint_heads(0::smallint)");
    assert_int_equal(test_int(leader, "SELECT awa.carry_forward(0::smallint)"), 1);
    expect_quickly(leader, PRUNE, "snapshots");
    test_exec(report, "CLOSE c"); /* the transaction may go on */
    expect_quickly(leader, PRUNE, "pruned");
    test_exec(report, "COMMIT");
}

/* A late COPY puts something living into a slot that was settled: it has new readers. */
static void
what_lives_again_in_a_slot_is_kept_for_its_snapshots(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *leader = test_connect(db, "worker");
    PGconn *first = test_connect(db, NULL), *second = test_connect(db, NULL);
    PGconn *bulk = test_connect(db, "bulk");
    const char *entry;

    test_exec(bulk, "BEGIN");
    entry = reserve_entry(bulk);
    seal_slot_0(db, worker);
    test_exec(leader, "SELECT awa.checkpoint_heads(0::smallint)");
    test_exec(first, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1");
    expect_quickly(leader, PRUNE, "snapshots");
    test_exec(bulk, entry);
    test_exec(bulk, "COMMIT");
    test_exec(second, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1");
    expect_quickly(leader, PRUNE, "alive");
    assert_int_equal(test_int(leader, "SELECT awa.carry_forward(0::smallint)"), 1);
    test_exec(first, "COMMIT");
    expect_quickly(leader, PRUNE, "snapshots");
    assert_int_equal(test_int(second, waits_in_0), 2); /* one is done */
    test_exec(second, "COMMIT");
    expect_quickly(leader, PRUNE, "pruned");
    assert_int_equal(test_int(worker, "SELECT count(*) FROM awa.claim_jobs(7, 'default', 10)"), 1);
}

/* One snapshot, of a report that takes hours: of the slots only those wait that were there before.
 */
static void
an_old_snapshot_does_not_stop_the_ring(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *report = test_connect(db, NULL);
    int64_t pruned = 0;

    test_exec(db, "UPDATE awa.settings SET completed_retention = '0 s', slot_age = '1 us'");
    test_lane(db, 2);
    for (int turn = 0; turn < 40; turn++) {
        const char *slot;
        struct attempt a;

        test_insert(db);
        a = test_claim_one(worker, 7);
        test_exec(worker, test_complete_sql(&a));
        if (turn == 1)
            test_exec(report, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1");
        slot = test_rows(worker, "SELECT to_prune FROM awa.turn_ring()");
        if (*slot == '\0')
            continue;
        test_exec(worker, test_format("SELECT awa.checkpoint_heads('%s')", slot));
        test_exec(worker, test_format("SELECT awa.carry_forward('%s')", slot));
        pruned += strcmp(test_text(worker, test_format("SELECT awa.prune_slot('%s')", slot)),
                         "pruned") == 0;
    }
    if (pruned < 20)
        fail_msg("%" PRId64 " of 40 turns emptied a slot", pruned);
    test_exec(report, "COMMIT");
}

/* ---- Late inserts ------------------------------------------------------------------------ */

/* A producer that has reserved a position in the slot writes between the last look and the
 * truncate. */
static void
an_insert_does_not_come_between_the_last_look_and_the_truncate(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *leader = test_connect(db, "worker");
    PGconn *bulk = test_connect(db, "bulk");
    struct attempt a;
    const char *entry;

    test_insert(db);
    a = test_claim_one(worker, 7);
    test_exec(worker, test_complete_sql(&a));
    test_exec(bulk, "BEGIN");
    entry = reserve_entry(bulk);
    test_exec(db, "SELECT awa.rotate_ring(true)");
    test_exec(leader, "SELECT awa.checkpoint_heads(0::smallint)");
    test_gate(db, "prune_slot", "EXECUTE 'LOCK TABLE ' || v_children");
    test_gate_shut(db);
    test_send(leader, "SELECT awa.prune_slot(0::smallint)");
    test_wait_at_gate(db, leader);
    test_send(bulk, entry);
    test_wait_blocked(db, bulk);
    test_gate_open(db);
    assert_string_equal(test_answer(leader), "pruned");
    test_answer(bulk);
    test_exec(bulk, "COMMIT");
    assert_int_equal(strlen(test_claim_ids(worker, 7, 10)), 1);
}

/*
 * Whoever claims or closes locks the tables of all slots. Where they follow each other without a
 * pause, a slot is emptied all the same, once it has been due for a while.
 */
static void
an_overdue_slot_is_pruned_beside_those_who_take_their_time(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *leader = test_connect(db, "worker");
    PGconn *busy = test_connect(db, NULL);
    const char *answer = "";

    seal_slot_0(db, worker);
    test_exec(leader, "SELECT awa.checkpoint_heads(0::smallint)");
    test_exec(db, "UPDATE awa.settings SET completed_retention = '0 s'");
    /* A first prune makes its plans, which may take longer than others hold their locks. */
    test_exec(busy, LOOK);
    assert_string_equal(test_text(leader, PRUNE), "busy");
    test_exec(busy, "COMMIT");
    test_exec(db, "UPDATE awa.ring_rotations SET opened_at = opened_at - interval '1 min'");
    for (int i = 0; i < BUSY_ROUNDS && strcmp(answer, "pruned") != 0; i++) {
        test_exec(busy, LOOK);
        test_send(leader, PRUNE);
        while (PQconsumeInput(leader) && PQisBusy(leader)) {
            (void)poll(NULL, 0, BUSY_MS);
            test_exec(busy, "COMMIT");
            test_exec(busy, LOOK);
        }
        test_exec(busy, "COMMIT");
        answer = test_answer(leader);
    }
    assert_string_equal(answer, "pruned");
}

/* The longest of the claims of a worker while somebody prunes, in ms. */
static int64_t
longest_claim_during_a_prune(PGconn *leader, PGconn *worker)
{
    int64_t longest = 0;

    test_send(leader, PRUNE);
    while (PQconsumeInput(leader) && PQisBusy(leader)) {
        int64_t began = now_ms();

        test_exec(worker, "SELECT awa.claim_jobs(7, 'default', 1)");
        longest = now_ms() - began > longest ? now_ms() - began : longest;
    }
    assert_string_not_equal(test_answer(leader), "pruned");
    return longest;
}

/* Else a report that has read jobs, and is still open, would cost claims a fifth of each second. */
static void
a_prune_does_not_wait_for_a_long_transaction(void **state)
{
    PGconn *db = *state;
    PGconn *worker = test_worker(db, 7), *leader = test_connect(db, "worker");
    PGconn *report = test_connect(db, NULL);
    int64_t shortest = INT64_MAX;

    seal_slot_0(db, worker);
    test_exec(leader, "SELECT awa.checkpoint_heads(0::smallint)");
    test_exec(db, "UPDATE awa.settings SET completed_retention = '0 s'; UPDATE awa.ring_rotations"
                  " SET opened_at = opened_at - interval '1 min'");
    test_exec(report, "BEGIN; SELECT count(*) FROM awa.jobs");
    for (int turn = 0; turn < 2; turn++) /* it is known from the leader's turns before */
        test_exec(leader, "SELECT awa.checkpoint_heads(0::smallint)");
    for (int i = 0; i < 5; i++) { /* on a busy machine a claim may take its time by itself */
        int64_t longest = longest_claim_during_a_prune(leader, worker);

        shortest = longest < shortest ? longest : shortest;
    }
    if (shortest >= 150)
        fail_msg("a claim waited for %" PRId64 " ms", shortest);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_DB(an_overdue_slot_is_pruned_beside_those_who_take_their_time),
        TEST_DB(a_prune_does_not_wait_for_a_long_transaction),
        TEST_DB(a_slot_with_an_insert_in_flight_is_not_pruned),
        TEST_DB(a_slot_with_an_end_in_flight_is_not_pruned),
        TEST_DB(an_end_that_comes_during_a_prune_is_stale),
        TEST_DB(an_entry_that_lands_in_a_pruned_slot_is_claimed),
        TEST_DB(a_prune_yields_to_a_claim),
        TEST_DB(a_claim_that_waits_for_a_prune_reads_the_new_head),
        TEST_DB(a_prune_and_a_claim_do_not_wait_in_a_circle),
        TEST_DB(a_lane_does_not_lose_its_head),
        TEST_DB(a_checkpoint_never_puts_a_lane_back),
        TEST_DB(a_newer_claim_in_a_sealed_slot_is_the_head),
        TEST_DB(two_rotations_at_once_are_one),
        TEST_DB(two_prunes_at_once_do_not_wait_for_each_other),
        TEST_DB(a_slot_that_is_held_open_does_not_stop_the_ring),
        TEST_DB(a_snapshot_keeps_the_jobs_that_it_shows),
        TEST_DB(an_open_cursor_keeps_the_jobs_that_it_shows),
        TEST_DB(what_lives_again_in_a_slot_is_kept_for_its_snapshots),
        TEST_DB(an_old_snapshot_does_not_stop_the_ring),
        TEST_DB(an_insert_does_not_come_between_the_last_look_and_the_truncate),
    };

    return TEST_RUN(tests);
}
