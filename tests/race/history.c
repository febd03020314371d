/* SPDX-License-Identifier: MIT */
/*
 * Eight sessions at once do to the same jobs, in opposite orders, all that can be done to terminal
 * history: seven end jobs, retry, discard, move and delete them, each verb in a transaction of its
 * own; the eighth folds, carries, prunes and rebuilds. Nothing deadlocks, the counts are right in
 * every snapshot, and each job is where a ledger says.
 *
 * The ledger: whoever did something to a job writes that down after the commit. Nobody reads it
 * before all have gone, so it need not be right at any time but then.
 *
 * Snapshots are those of REPEATABLE READ. TRUNCATE empties a table for old snapshots as well, so
 * the sampler begins with a lock on ready_entries, the one that any reader takes, before it has a
 * snapshot: while it looks, a prune finds the slot busy. All else goes on meanwhile, folding too.
 */
#include "test_actors.h"

#include <inttypes.h>
#include <string.h>

#include "cli/spawn.h"

enum {
    ACTORS = 7,   /* and maintenance is the eighth */
    RUN_S = 60,   /* unless AWA_TEST_HISTORY_S says otherwise */
    ARENA = 120,  /* ids that are played with, the newest ones */
    PICK_MAX = 6, /* of them by one verb */
    BULK = 8,     /* limit of a bulk verb; at most 10, of which the answer names all */
    CLAIM_MAX = 12,
    PHASE_MS = 5000,
    TURN_MS = 300, /* of the ring */
    SAMPLE_MS = 150,
    PRUNE_TRIES = 100,
    PRUNE_TRIES_AMIDST = 5,
    PRUNE_PAUSE_MS = 5,
    ID_MAX = 1 << 20,
};

/* The first is not kept once it has failed; the second is; failures of the third are moved. */
static const char *const queues[] = { "brief", "kept", "buried" };
#define QUEUES "{brief,kept,buried}"

/* What was done to each job, by its id. */
static struct {
    atomic_uchar inserted;
    atomic_int ended, revived; /* how often it became terminal, or live again */
    atomic_int removed;
    atomic_uchar fuzzy; /* a bulk verb matched it, but maybe somebody else was faster */
} ledger[ID_MAX];

static struct play {
    const char *dsn;
    atomic_bool over;
    atomic_bool held_back;        /* a prune wants a moment without readers */
    atomic_int_least64_t newest;  /* id */
    atomic_int_least64_t removed; /* jobs, by all verbs */
    atomic_int_least64_t verbs, busy, pruned, folded, samples;
} play;

static bool
is_over(void)
{
    return atomic_load(&play.over) || actors_in_trouble();
}

static void
wait_for_turn(void)
{
    while (atomic_load(&play.held_back) && !is_over())
        actor_nap(1);
}

/* ---- Which jobs -------------------------------------------------------------------------- */

static int
ascending(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* Some ids, in this actor's order: every other actor goes downwards. Returns how many. */
static int
pick(struct actor *a, int64_t *ids)
{
    int64_t newest = atomic_load(&play.newest);
    int n = 1 + actor_dice(a, PICK_MAX);

    for (int i = 0; i < n; i++)
        ids[i] = newest - actor_dice(a, newest < ARENA ? (int)newest + 1 : ARENA);
    qsort(ids, (size_t)n, sizeof *ids, ascending);
    for (int i = 0; a->number % 2 == 0 && i < n / 2; i++) {
        int64_t id = ids[i];

        ids[i] = ids[n - 1 - i];
        ids[n - 1 - i] = id;
    }
    return n;
}

/* ---- What was done to them --------------------------------------------------------------- */

enum effect { NOTHING, ENDED, REVIVED, REMOVED };

static void
note(int64_t id, enum effect effect)
{
    switch (effect) {
    case NOTHING:
        return;
    case ENDED:
        atomic_fetch_add(&ledger[id].ended, 1);
        return;
    case REVIVED:
        atomic_fetch_add(&ledger[id].revived, 1);
        return;
    case REMOVED:
        atomic_fetch_add(&ledger[id].removed, 1);
        atomic_fetch_add(&play.removed, 1);
    }
}

/* A statement that did something to the jobs whose ids it returns. */
static void
act(struct actor *a, enum effect effect, const char *sql)
{
    AUTO(pgresult) PGresult *res = actor_ask(a, "JQ004 JQ006", "%s", sql);

    if (res == NULL)
        atomic_fetch_add(&play.busy, 1);
    for (int i = 0; res != NULL && i < PQntuples(res); i++)
        note(actor_number(res, i, 0), effect);
}

static void
act_on_each(struct actor *a, enum effect effect, const char *condition)
{
    int64_t ids[PICK_MAX];
    int n = pick(a, ids);

    for (int i = 0; i < n; i++) {
        char sql[200];

        snprintf(sql, sizeof sql, "SELECT i FROM (VALUES (%" PRId64 ")) AS v (i) WHERE %s", ids[i],
                 condition);
        act(a, effect, sql);
    }
}

/* A verb with a filter, whose answer names all that matched, and how many of them it changed. */
static void
act_on_many(struct actor *a, enum effect effect, const char *verb)
{
    static const char *const filters[] = { "p_kind => 'k0'",      "p_kind => 'k1'",
                                           "p_queue => 'brief'",  "p_queue => 'kept'",
                                           "p_queue => 'buried'", "p_all => true",
                                           "p_tag => 't'" };
    AUTO(pgresult) PGresult *res = NULL;
    int64_t changed;

    res = actor_ask(a, "",
                    "SELECT unnest(r.sample), r.changed, r.matched FROM awa.%s(%s, p_limit => %d)"
                    " AS r",
                    verb, filters[actor_dice(a, 7)], BULK);
    if (res == NULL || PQntuples(res) == 0)
        return;
    changed = actor_number(res, 0, 1);
    if (changed == actor_number(res, 0, 2)) {
        for (int i = 0; i < PQntuples(res); i++)
            note(actor_number(res, i, 0), effect);
        return;
    }
    for (int i = 0; i < PQntuples(res) && changed > 0; i++)
        atomic_store(&ledger[actor_number(res, i, 0)].fuzzy, 1);
    if (effect == REMOVED)
        atomic_fetch_add(&play.removed, changed);
}

/* ---- Verbs ------------------------------------------------------------------------------- */

static void
add(struct actor *a)
{
    AUTO(pgresult) PGresult *res = NULL;

    res = actor_ask(a, "",
                    "SELECT i.id FROM (SELECT array_agg('k%d'::text) AS kinds,"
                    " array_agg('%s'::text) AS queues, array_agg(1 + n %% 2) AS priorities,"
                    " array_agg(100) AS attempts, array_agg('[\"t\"]'::text) AS tags,"
                    " array_agg('%d ms'::interval) AS delays,"
                    " array_agg(CASE WHEN n %% 3 = 0 THEN 'u' || n * %d %% 7 END) AS keys"
                    " FROM generate_series(1, %d) AS n) AS j CROSS JOIN LATERAL awa.insert_jobs("
                    "j.kinds, p_queues => j.queues, p_priorities => j.priorities, p_max_attempts"
                    " => j.attempts, p_tags => j.tags, p_delays => j.delays, p_unique_keys =>"
                    " j.keys) AS i WHERE i.id IS NOT NULL",
                    actor_dice(a, 2), queues[actor_dice(a, 3)], actor_dice(a, 4) == 0 ? 300 : 0,
                    1 + actor_dice(a, 6), 1 + actor_dice(a, 6));
    for (int i = 0; res != NULL && i < PQntuples(res); i++) {
        int64_t id = actor_number(res, i, 0), newest = atomic_load(&play.newest);

        atomic_store(&ledger[id].inserted, 1);
        while (newest < id && !atomic_compare_exchange_weak(&play.newest, &newest, id))
            continue;
    }
}

static void
complete_all(struct actor *a, const PGresult *claimed)
{
    struct ranges done = { 0 };

    if (actor_complete(a, claimed, &done))
        for (int i = 0; i < PQntuples(claimed); i++)
            if (ranges_contain(&done, actor_number(claimed, i, CLAIMED_POS)))
                note(actor_number(claimed, i, CLAIMED_ID), ENDED);
    ranges_done(&done);
}

/* Each by itself, with an error, in this actor's order. */
static void
close_all(struct actor *a, const PGresult *claimed)
{
    static const char *const outcomes[] = { "failed", "failed",    "failed",   "retried",
                                            "failed", "completed", "cancelled" };
    AUTO(free) char *sql = NULL;
    AUTO(pgresult) PGresult *res = NULL;
    size_t len = 0;
    int n = PQntuples(claimed);
    FILE *out = open_memstream(&sql, &len);

    fprintf(out, "SELECT k.state FROM (SELECT array_agg(v.slot::smallint ORDER BY v.i) AS slots,"
                 " array_agg(v.claim ORDER BY v.i) AS claims, array_agg(v.pos ORDER BY v.i) AS"
                 " positions, array_agg(v.outcome ORDER BY v.i) AS outcomes FROM (VALUES ");
    for (int i = 0; i < n; i++)
        fprintf(out, "%s(%d, %s, %s::bigint, %s::bigint, '%s')", i > 0 ? "," : "",
                a->number % 2 == 0 ? n - i : i, PQgetvalue(claimed, i, CLAIMED_SLOT),
                PQgetvalue(claimed, i, CLAIMED_CLAIM), PQgetvalue(claimed, i, CLAIMED_POS),
                outcomes[actor_dice(a, 7)]);
    fprintf(out,
            ") AS v (i, slot, claim, pos, outcome)) AS j CROSS JOIN LATERAL awa.close_jobs(%" PRId64
            ", j.slots, j.claims, j.positions, j.outcomes) AS k",
            a->worker);
    (void)fclose(out);
    res = actor_ask(a, "", "%s", sql);
    for (int i = 0; res != NULL && i < n; i++) {
        const char *state = PQgetvalue(res, a->number % 2 == 0 ? n - 1 - i : i, 0);

        if (*state == '\0')
            actors_report("close_jobs", "it failed");
        else if (strstr("completed failed cancelled", state) != NULL)
            note(actor_number(claimed, i, CLAIMED_ID), ENDED);
    }
}

/* One in the handler's own transaction, the rest as they come. */
static void
complete_one(struct actor *a, const PGresult *claimed)
{
    bool done =
        actor_run(a, "", "BEGIN") &&
        actor_run(a, "JQ003", "SELECT awa.complete_job(%" PRId64 ", %s, %s)", a->worker,
                  PQgetvalue(claimed, 0, CLAIMED_CLAIM), PQgetvalue(claimed, 0, CLAIMED_POS));

    actor_nap(actor_dice(a, 10));
    actor_run(a, "", "COMMIT");
    if (done)
        note(actor_number(claimed, 0, CLAIMED_ID), ENDED);
    close_all(a, claimed);
}

static void
work(struct actor *a)
{
    AUTO(pgresult) PGresult *claimed = NULL;

    actor_beat(a);
    claimed = actor_claim(a, queues[actor_dice(a, 3)], CLAIM_MAX);
    if (claimed == NULL || PQntuples(claimed) == 0)
        return;
    switch (actor_dice(a, 10)) {
    case 0: /* it dies with its jobs */
        actor_run(a, "", "SELECT awa.deregister_worker(%" PRId64 ")", a->worker);
        actor_hire(a, QUEUES);
        return;
    case 1:
        complete_one(a, claimed);
        return;
    case 2:
    case 3:
    case 4:
        complete_all(a, claimed);
        return;
    default:
        close_all(a, claimed);
    }
}

static void
cancel_each(struct actor *a)
{
    act_on_each(a, ENDED, "awa.cancel_job(i)");
}

static void
retry_each(struct actor *a)
{
    act_on_each(a, REVIVED, "test.revived(i)");
}

static void
move_each(struct actor *a)
{
    act_on_each(a, NOTHING, "awa.move_to_dlq(i)");
}

static void
retry_each_dead(struct actor *a)
{
    act_on_each(a, REVIVED, "awa.retry_dlq(i)");
}

static void
retry_many(struct actor *a)
{
    act_on_many(a, REVIVED, "retry_failed");
}

static void
discard_many(struct actor *a)
{
    act_on_many(a, REMOVED, "discard_failed");
}

static void
move_many(struct actor *a)
{
    act_on_many(a, NOTHING, "move_failed_to_dlq");
}

static void
retry_many_dead(struct actor *a)
{
    act_on_many(a, REVIVED, "retry_dlq_jobs");
}

static void
purge_many(struct actor *a)
{
    act_on_many(a, REMOVED, "purge_dlq");
}

/* In this actor's order, because the planner may not hash or merge. */
static void
delete_some(struct actor *a)
{
    int64_t ids[PICK_MAX];
    char sql[400];
    int n = pick(a, ids), len;

    len = snprintf(sql, sizeof sql, "DELETE FROM awa.jobs AS j USING (VALUES ");
    for (int i = 0; i < n; i++)
        len += snprintf(sql + len, sizeof sql - (size_t)len, "%s(%" PRId64 "::bigint)",
                        i > 0 ? "," : "", ids[i]);
    snprintf(sql + len, sizeof sql - (size_t)len, ") AS v (id) WHERE j.id = v.id RETURNING j.id");
    act(a, REMOVED, sql);
}

/* The newest failed ones, which are what the bulk verbs take. */
static void
delete_failed(struct actor *a)
{
    char sql[400];

    snprintf(sql, sizeof sql,
             "DELETE FROM awa.jobs AS j USING (SELECT f.id FROM (SELECT d.id, d.pos FROM"
             " awa.done_entries AS d WHERE d.state = 'failed' ORDER BY d.id DESC LIMIT %d) AS f"
             " ORDER BY f.pos %s) AS f WHERE j.id = f.id RETURNING j.id",
             BULK, a->number % 2 == 0 ? "DESC" : "");
    act(a, REMOVED, sql);
}

/* While slots are emptied, few verbs are those that take long. */
static bool
slots_are_emptied(void)
{
    return now_ms() / PHASE_MS % 2 == 0;
}

static const struct verb {
    void (*run)(struct actor *);
    int weights[2]; /* while slots are emptied; otherwise */
} verbs[] = {
    { add, { 20, 10 } },           { work, { 40, 20 } },       { cancel_each, { 4, 4 } },
    { retry_each, { 6, 4 } },      { move_each, { 4, 4 } },    { retry_each_dead, { 4, 4 } },
    { retry_many, { 2, 6 } },      { discard_many, { 1, 2 } }, { move_many, { 1, 6 } },
    { retry_many_dead, { 2, 6 } }, { purge_many, { 1, 2 } },   { delete_some, { 1, 3 } },
    { delete_failed, { 1, 6 } },
};

static void
do_something(struct actor *a)
{
    int phase = slots_are_emptied() ? 0 : 1, sum = 0, dice;

    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        sum += verbs[i].weights[phase];
    dice = actor_dice(a, sum);
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        dice -= verbs[i].weights[phase];
        if (dice < 0) {
            verbs[i].run(a);
            atomic_fetch_add(&play.verbs, 1);
            return;
        }
    }
}

static void *
actor(void *arg)
{
    struct actor *a = arg;

    if (actor_enter(a, play.dsn) &&
        actor_run(a, "", "SET enable_hashjoin = off; SET enable_mergejoin = off")) {
        actor_hire(a, QUEUES);
        while (!is_over()) {
            wait_for_turn();
            do_something(a);
        }
    }
    PQfinish(a->conn);
    return NULL;
}

/* ---- Maintenance, and the sampler -------------------------------------------------------- */

/*
 * A prune gives up after 10 ms if somebody reads just then; here somebody nearly always does. So
 * after some tries nobody begins anything new until it has come through. Returns whether it has.
 */
static bool
prune(struct actor *a, const char *slot)
{
    char answer[16] = "busy";

    for (int i = 0; i < PRUNE_TRIES && strcmp(answer, "busy") == 0 && !is_over(); i++) {
        AUTO(pgresult) PGresult *res = actor_ask(a, "", "SELECT awa.prune_slot('%s')", slot);

        if (res != NULL)
            snprintf(answer, sizeof answer, "%s", PQgetvalue(res, 0, 0));
        atomic_store(&play.held_back, i >= PRUNE_TRIES_AMIDST);
        actor_nap(PRUNE_PAUSE_MS);
    }
    atomic_store(&play.held_back, false);
    return strcmp(answer, "pruned") == 0;
}

/* JQ001: it is the current one by now; 55P03: somebody was in the way. */
static void
empty_slot(struct actor *a, const char *slot)
{
    if (actor_run(a, "JQ001", "SELECT awa.checkpoint_heads('%s')", slot) &&
        actor_run(a, "JQ001 55P03", "SELECT awa.carry_forward('%s')", slot) && prune(a, slot))
        atomic_fetch_add(&play.pruned, 1);
}

static void
empty_slots(struct actor *a)
{
    AUTO(pgresult) PGresult *old = NULL;

    old = actor_ask(a, "",
                    "SELECT r.ready_slot FROM awa.ring_slots() AS r WHERE r.bytes > 0"
                    " AND r.sealed_at < clock_timestamp() - interval '1 s' ORDER BY random()");
    for (int i = 0; old != NULL && i < PQntuples(old); i++)
        empty_slot(a, PQgetvalue(old, i, 0));
}

/* Every slot, as if the last time were long ago. */
static void
fold(struct actor *a)
{
    actor_run(a, "", "SELECT awa.take_lock('maintenance'); SELECT awa.fold_slots('infinity')");
    atomic_fetch_add(&play.folded, 1);
}

/* Counters that need a correction have lost something. */
static void
rebuild(struct actor *a, bool check)
{
    AUTO(pgresult) PGresult *res = NULL;

    res = actor_ask(a, "",
                    "SELECT coalesce(sum(r.corrected), 0) FROM"
                    " awa.rebuild_terminal_counters(%s) AS r",
                    check ? "true" : "false");
    if (res != NULL && actor_number(res, 0, 0) != 0)
        actors_report("rebuild", "it had to correct the counters");
}

/* Slots are emptied as soon as they are old, or they are only filled and folded, by turns. */
static void *
maintenance(void *arg)
{
    struct actor *a = arg;

    if (!actor_enter(a, play.dsn))
        return NULL;
    for (int i = 0; !is_over(); i++) {
        actor_run(a, "", "SELECT awa.rotate_ring(true)");
        fold(a);
        if (slots_are_emptied())
            empty_slots(a);
        actor_run(a, "", "SELECT awa.promote_jobs()");
        actor_run(a, "", "SELECT awa.rescue_jobs()");
        actor_run(a, "", "SELECT awa.sweep_gaps()");
        rebuild(a, i % 2 == 0);
        actor_nap(TURN_MS);
    }
    PQfinish(a->conn);
    return NULL;
}

static void
sample(struct actor *a)
{
    AUTO(pgresult) PGresult *res = NULL;

    actor_run(a, "",
              "BEGIN ISOLATION LEVEL REPEATABLE READ;"
              "LOCK TABLE awa.ready_entries IN ACCESS SHARE MODE");
    res = actor_ask(a, "", "SELECT r.trouble FROM test.recount() AS r");
    actor_run(a, "", "COMMIT");
    if (res != NULL && !PQgetisnull(res, 0, 0))
        actors_report("in a snapshot the counts are wrong", PQgetvalue(res, 0, 0));
    atomic_fetch_add(&play.samples, 1);
}

static void *
sampler(void *arg)
{
    struct actor *a = arg;

    if (!actor_enter(a, play.dsn))
        return NULL;
    while (!is_over()) {
        wait_for_turn();
        sample(a);
        actor_nap(SAMPLE_MS);
    }
    PQfinish(a->conn);
    return NULL;
}

/* ---- What must hold in the end ----------------------------------------------------------- */

static void
check_deadlocks(PGconn *db)
{
    test_wait_until(db,
                    "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = current_database()"
                    " AND pid <> pg_backend_pid()",
                    20000); /* what a session has counted is there once it has gone */
    assert_int_equal(
        test_int(db, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"),
        0);
}

/* What the ledger says of one job that is there, in that state, or not there (NULL). */
static const char *
judge(int64_t id, const char *state)
{
    int removed = atomic_load(&ledger[id].removed);
    int terminal = atomic_load(&ledger[id].ended) - atomic_load(&ledger[id].revived);

    if (!ledger[id].inserted)
        return state != NULL ? "nobody inserted it" : NULL;
    if (removed > 1)
        return "it was removed twice";
    if (removed == 1)
        return state != NULL ? "it was removed" : NULL;
    if (ledger[id].fuzzy)
        return NULL;
    if (state == NULL)
        return terminal == 1 ? NULL : "it is lost";
    if (terminal != (strstr("completed failed cancelled", state) != NULL))
        return "it ended, or lives again, more often than somebody did that";
    return NULL;
}

static void
check_ledger(PGconn *db)
{
    AUTO(pgresult) PGresult *jobs = PQexec(db, "SELECT id, state FROM awa.jobs ORDER BY id");
    int64_t inserted = 0, fuzzy = 0, gone, pruned;
    int row = 0;

    assert_int_equal(PQresultStatus(jobs), PGRES_TUPLES_OK);
    for (int64_t id = 0; id < ID_MAX; id++) {
        bool there = row < PQntuples(jobs) && actor_number(jobs, row, 0) == id;
        const char *state = there ? PQgetvalue(jobs, row, 1) : NULL;
        const char *verdict = judge(id, state);

        row += there;
        inserted += ledger[id].inserted;
        fuzzy += ledger[id].fuzzy;
        if (verdict != NULL)
            fail_msg("job %" PRId64 ", %s: %s; it ended %d times, was revived %d times", id,
                     state != NULL ? state : "gone", verdict, ledger[id].ended, ledger[id].revived);
    }
    assert_int_equal(row, PQntuples(jobs));
    gone = inserted - row;
    pruned = test_int(db, "SELECT sum(pruned_completed + pruned_failed + pruned_cancelled)"
                          " FROM awa.queue_counts()");
    print_message("%" PRId64 " verbs, %" PRId64 " of them in vain, on %" PRId64 " jobs: %" PRId64
                  " removed, %" PRId64 " pruned, %" PRId64 " uncertain; %" PRId64
                  " slots emptied, %" PRId64 " times folded, %" PRId64 " snapshots\n",
                  play.verbs, play.busy, inserted, play.removed, pruned, fuzzy, play.pruned,
                  play.folded, play.samples);
    assert_int_equal(gone, play.removed + pruned);
    assert_true(inserted > 100 && play.removed > 10 && pruned > 0 && play.pruned > 0);
    assert_true(play.samples > 3 && fuzzy < inserted / 4);
}

/* ---- Tests ------------------------------------------------------------------------------- */

/* Whether a retry made a job live again: a deferred one, which it makes due, lived before. */
static const char make_revived[] =
    "CREATE FUNCTION test.revived(p_id bigint) RETURNS boolean LANGUAGE plpgsql AS $$\n"
    "BEGIN\n"
    "    RETURN awa.retry_job(p_id)\n"
    "           AND (SELECT j.state = 'available' FROM awa.get_job(p_id) AS j);\n"
    "END $$";

static int
seconds(void)
{
    const char *asked = getenv("AWA_TEST_HISTORY_S");

    return asked != NULL ? (int)strtol(asked, NULL, 10) : RUN_S;
}

static void
prepare(PGconn *db)
{
    memset(ledger, 0, sizeof ledger);
    play = (struct play){ .dsn = test_dsn(db, NULL) };
    actors_begin();
    test_make_recount(db);
    test_exec(db, make_revived);
    test_exec(db, "SELECT awa.set_queue('brief', p_failed_retention => '0 s'),"
                  " awa.set_queue('kept', p_enqueue_shards => 2),"
                  " awa.set_queue('buried', p_dlq_enabled => true)");
}

static void
all_that_happens_to_history_at_once_is_counted_and_never_deadlocks(void **state)
{
    static struct actor actors[ACTORS + 2];
    int64_t until = now_ms() + seconds() * 1000;
    PGconn *db = *state;
    int n = 0;

    prepare(db);
    for (int i = 0; i < ACTORS; i++)
        actors_start(actors, &n, actor);
    actors_start(actors, &n, maintenance);
    actors_start(actors, &n, sampler);
    while (now_ms() < until && !is_over())
        actor_nap(20);
    atomic_store(&play.over, true);
    actors_join(actors, n);
    actors_end();
    check_deadlocks(db);
    test_counts(db);
    check_ledger(db);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_DB(all_that_happens_to_history_at_once_is_counted_and_never_deadlocks),
    };

    return TEST_RUN(tests);
}
