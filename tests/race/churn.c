/* SPDX-License-Identifier: MIT */
/*
 * Everything at once: producers that keep transactions open and roll some back, workers, an
 * impatient ring; and in the second test workers that die, operators that cancel, handlers that
 * complete in their own transactions. No job is lost, and none ends twice.
 */
#include "test_actors.h"

#include <inttypes.h>
#include <string.h>

#include "cli/spawn.h"

enum {
    PRODUCERS = 16,
    WORKERS = 4,
    HOLD_MS = 300,    /* a transaction stays open for so long, at most */
    ROLLBACKS = 9,    /* percent */
    TURN_MS = 200,    /* of the ring */
    ID_MAX = 1 << 20, /* more ids than any run draws */
    BATCH_MAX = 100,
    PATIENCE_MS = 60000, /* for the next job to end, once no more are inserted */
};

/* What is known of each job, by its id. */
static struct {
    atomic_uchar committed, claimed, ended;
} jobs[ID_MAX];

static struct churn {
    const char *bulk, *worker, *operator; /* how to reach the database */
    bool rough;                           /* the second test */
    atomic_bool closing_time;             /* for producers */
    atomic_bool over;                     /* for all others */
    atomic_int_least64_t committed, ended, pruned;
} churn;

/* ---- Small things ------------------------------------------------------------------------ */

static bool
is_over(void)
{
    return atomic_load(&churn.over) || actors_in_trouble();
}

static void
end_job(int64_t id)
{
    atomic_fetch_add(&jobs[id].ended, 1);
    atomic_fetch_add(&churn.ended, 1);
}

/* ---- Producers --------------------------------------------------------------------------- */

static void
produce(struct actor *a)
{
    static const char *const keys[] = { NULL, "a", "b" };
    awa_job_options batch[BATCH_MAX];
    int64_t ids[BATCH_MAX];
    int n = actor_dice(a, 3) == 0 ? 1 : 1 + actor_dice(a, BATCH_MAX - 1);
    awa_error err;
    awa_status s;

    for (int i = 0; i < n; i++)
        batch[i] = (awa_job_options){ .size = sizeof batch[0],
                                      .kind = "churn",
                                      .priority = 1 + actor_dice(a, 2),
                                      .ordering_key = keys[actor_dice(a, 3)],
                                      .delay_ms = churn.rough && actor_dice(a, 20) == 0 ? 200 : 0 };
    if (!actor_run(a, "", "BEGIN"))
        return;
    s = n == 1                  ? awa_job_insert(a->conn, batch, ids, &err)
        : actor_dice(a, 2) == 0 ? awa_jobs_insert(a->conn, batch, (size_t)n, ids, &err)
                                : awa_jobs_copy(a->conn, batch, (size_t)n, ids, &err);
    if (s != AWA_OK) {
        actors_report("insert", err.message);
        return;
    }
    actor_nap(actor_dice(a, HOLD_MS));
    if (actor_dice(a, 100) < ROLLBACKS) {
        actor_run(a, "", "ROLLBACK");
        return;
    }
    if (!actor_run(a, "", "COMMIT"))
        return;
    for (int i = 0; i < n; i++)
        atomic_store(&jobs[ids[i]].committed, 1);
    atomic_fetch_add(&churn.committed, n);
}

static void *
producer(void *arg)
{
    struct actor *a = arg;

    if (actor_enter(a, churn.bulk))
        while (!atomic_load(&churn.closing_time) && !actors_in_trouble())
            produce(a);
    PQfinish(a->conn);
    return NULL;
}

/* ---- Workers ----------------------------------------------------------------------------- */

static void
complete_all(struct actor *a, const PGresult *rows)
{
    struct ranges done = { 0 };

    if (actor_complete(a, rows, &done))
        for (int i = 0; i < PQntuples(rows); i++) {
            if (ranges_contain(&done, actor_number(rows, i, CLAIMED_POS)))
                end_job(actor_number(rows, i, CLAIMED_ID));
            else if (!churn.rough)
                actors_report("complete", "a job was stale");
        }
    ranges_done(&done);
}

/* One job, in its own transaction, or with an outcome that lets it live on. */
static void
close_one(struct actor *a, const PGresult *rows, int i)
{
    static const char *const outcomes[] = { "failed", "retried", "snoozed", "released", "expired" };
    AUTO(pgresult) PGresult *res = NULL;

    if (actor_dice(a, 2) == 0) {
        bool done = actor_run(a, "", "BEGIN") &&
                    actor_run(a, "JQ003", "SELECT awa.complete_job(%" PRId64 ", %s, %s)", a->worker,
                              PQgetvalue(rows, i, CLAIMED_CLAIM), PQgetvalue(rows, i, CLAIMED_POS));

        actor_nap(actor_dice(a, 20));
        actor_run(a, "", "COMMIT");
        if (done)
            end_job(actor_number(rows, i, CLAIMED_ID));
        return;
    }
    res =
        actor_ask(a, "",
                  "SELECT state FROM awa.close_jobs(%" PRId64 ", '{%s}', '{%s}', '{%s}', '{%s}',"
                  " NULL, NULL, '{100 ms}')",
                  a->worker, PQgetvalue(rows, i, CLAIMED_SLOT), PQgetvalue(rows, i, CLAIMED_CLAIM),
                  PQgetvalue(rows, i, CLAIMED_POS), outcomes[actor_dice(a, 5)]);
    if (res != NULL && strcmp(PQgetvalue(res, 0, 0), "failed") == 0)
        end_job(actor_number(rows, i, CLAIMED_ID));
}

static void
work(struct actor *a)
{
    AUTO(pgresult) PGresult *rows = NULL;

    actor_beat(a);
    rows = actor_claim(a, "default", 1 + actor_dice(a, 200));
    for (int i = 0; rows != NULL && i < PQntuples(rows); i++)
        atomic_fetch_add(&jobs[actor_number(rows, i, CLAIMED_ID)].claimed, 1);
    if (rows == NULL || PQntuples(rows) == 0) {
        actor_nap(5);
    } else if (!churn.rough) {
        actor_nap(actor_dice(a, 30));
        complete_all(a, rows);
    } else if (actor_dice(a, 20) == 0) { /* it dies with its jobs */
        actor_run(a, "", "SELECT awa.deregister_worker(%" PRId64 ")", a->worker);
        actor_hire(a, "{default}");
    } else if (PQntuples(rows) <= 3) {
        for (int i = 0; i < PQntuples(rows); i++)
            close_one(a, rows, i);
    } else {
        close_one(a, rows, 0);
        actor_nap(actor_dice(a, 30));
        complete_all(a, rows);
    }
}

static void *
worker(void *arg)
{
    struct actor *a = arg;

    if (actor_enter(a, churn.worker)) {
        actor_hire(a, "{default}");
        while (!is_over())
            work(a);
    }
    PQfinish(a->conn);
    return NULL;
}

/* ---- The leader, and an operator --------------------------------------------------------- */

static void
empty_slot(struct actor *a, int slot)
{
    AUTO(pgresult) PGresult *res = NULL;

    /* JQ001: it is the current one; 55P03: somebody was in the way */
    if (!actor_run(a, "JQ001", "SELECT awa.checkpoint_heads(%d::smallint)", slot) ||
        !actor_run(a, "55P03", "SELECT awa.carry_forward(%d::smallint)", slot))
        return;
    res = actor_ask(a, "", "SELECT awa.prune_slot(%d::smallint)", slot);
    if (res != NULL && strcmp(PQgetvalue(res, 0, 0), "pruned") == 0)
        atomic_fetch_add(&churn.pruned, 1);
}

static void *
leader(void *arg)
{
    struct actor *a = arg;

    if (!actor_enter(a, churn.worker))
        return NULL;
    while (!is_over()) {
        actor_run(a, "", "SELECT awa.turn_ring()");
        for (int slot = 0; slot < 16; slot++)
            empty_slot(a, slot);
        actor_run(a, "", "SELECT awa.sweep_gaps()");
        actor_run(a, "", "SELECT awa.promote_jobs()");
        actor_run(a, "", "SELECT awa.rescue_jobs()");
        actor_nap(TURN_MS);
    }
    PQfinish(a->conn);
    return NULL;
}

static void *
operator_thread(void *arg)
{
    struct actor *a = arg;

    if (!actor_enter(a, churn.operator))
        return NULL;
    while (!is_over()) {
        int64_t id = 1 + actor_dice(a, (int)atomic_load(&churn.committed) + 100);
        AUTO(pgresult) PGresult *res = NULL;

        actor_nap(actor_dice(a, 20));
        if (!atomic_load(&jobs[id].committed))
            continue;
        res = actor_ask(a, "JQ006", "SELECT awa.cancel_job(%" PRId64 ")", id);
        if (res != NULL && strcmp(PQgetvalue(res, 0, 0), "t") == 0)
            end_job(id);
    }
    PQfinish(a->conn);
    return NULL;
}

/* ---- Tests ------------------------------------------------------------------------------- */

/* Until all jobs have ended, or none has for long: a job that is late is not lost. */
static void
await_end(void)
{
    int64_t until = now_ms() + PATIENCE_MS;
    int64_t seen = 0;

    while (atomic_load(&churn.ended) < atomic_load(&churn.committed) && now_ms() < until &&
           !actors_in_trouble()) {
        if (atomic_load(&churn.ended) != seen)
            until = now_ms() + PATIENCE_MS;
        seen = atomic_load(&churn.ended);
        actor_nap(20);
    }
}

static void
run_churn(PGconn *db, bool rough, int run_ms)
{
    static struct actor actors[PRODUCERS + WORKERS + 2];
    int64_t until = now_ms() + run_ms;
    int n = 0;

    memset(jobs, 0, sizeof jobs);
    churn = (struct churn){ .bulk = test_dsn(db, "bulk"),
                            .worker = test_dsn(db, "worker"),
                            .operator= test_dsn(db, "operator"),
                            .rough = rough };
    actors_begin();
    test_exec(db, "UPDATE awa.settings SET slot_age = '100 ms', completed_retention = '0 s',"
                  " failed_retention = '0 s'");
    test_exec(db, "SELECT awa.set_queue('default', 2)");

    for (int i = 0; i < PRODUCERS; i++)
        actors_start(actors, &n, producer);
    for (int i = 0; i < WORKERS; i++)
        actors_start(actors, &n, worker);
    actors_start(actors, &n, leader);
    if (rough)
        actors_start(actors, &n, operator_thread);

    while (now_ms() < until && !actors_in_trouble())
        actor_nap(20);
    atomic_store(&churn.closing_time, true);
    actors_join(actors, PRODUCERS);
    await_end();
    actor_nap(rough ? 300 : 100); /* whoever would end a job twice has a last chance */
    atomic_store(&churn.over, true);
    actors_join(actors + PRODUCERS, n - PRODUCERS);
    actors_end();
}

/* What the database says of all jobs that have not ended. */
static void
print_rest(PGconn *db)
{
    static const char sql[] =
        "SELECT state, count(*), min(pos), max(pos) FROM awa.jobs"
        " WHERE state NOT IN ('completed', 'failed', 'cancelled') GROUP BY state ORDER BY state";
    AUTO(pgresult) PGresult *res = PQexec(db, sql);

    for (int i = 0; i < PQntuples(res); i++)
        print_message("%s: %s jobs, from position %s to %s\n", PQgetvalue(res, i, 0),
                      PQgetvalue(res, i, 1), PQgetvalue(res, i, 2), PQgetvalue(res, i, 3));
}

static void
check_jobs(PGconn *db)
{
    int64_t lost = 0, doubled = 0, ghosts = 0;

    for (size_t id = 0; id < ID_MAX; id++) {
        lost += jobs[id].committed && jobs[id].ended == 0;
        doubled += jobs[id].ended > 1 || (!churn.rough && jobs[id].claimed > 1);
        ghosts += !jobs[id].committed && (jobs[id].claimed > 0 || jobs[id].ended > 0);
    }
    print_message("%" PRId64 " jobs, %" PRId64 " slots emptied\n", churn.committed, churn.pruned);
    if (lost + doubled + ghosts > 0) {
        print_rest(db);
        fail_msg("of %" PRId64 " jobs %" PRId64 " were lost, %" PRId64 " were doubled, and %" PRId64
                 " never existed",
                 churn.committed, lost, doubled, ghosts);
    }
    assert_true(churn.committed > 1000);
    assert_true(churn.pruned > 3);
}

/* What must hold of the tables whatever happened. */
static void
check_tables(PGconn *db)
{
    static const struct {
        const char *what, *sql;
    } checks[] = {
        { "a job is in several places",
          "SELECT count(*) FROM (SELECT id FROM awa.jobs GROUP BY id HAVING count(*) > 1) AS j" },
        { "a job has not ended", "SELECT count(*) FROM awa.jobs WHERE state NOT IN ('completed',"
                                 " 'failed', 'cancelled')" },
        { "a claim says another number than it holds",
          "SELECT count(*) FROM awa.claims WHERE n <> awa.width(positions)" },
        { "a closure says another number than it holds",
          "SELECT count(*) FROM awa.closures WHERE n <> awa.width(positions)" },
        { "a position was claimed twice",
          "SELECT count(*) FROM (SELECT ready_slot FROM awa.claims GROUP BY ready_slot HAVING"
          " sum(awa.width(positions)) <> awa.width(range_agg(positions))) AS c" },
        { "an entry is closed that nobody claimed",
          "SELECT count(*) FROM awa.closures AS k WHERE k.outcome <> 'removed' AND NOT"
          " k.positions <@ (SELECT coalesce(range_agg(c.positions), '{}') + CASE WHEN k.outcome ="
          " 'failed' THEN k.positions ELSE '{}' END FROM awa.claims AS c"
          " WHERE c.ready_slot = k.ready_slot)" },
        { "a count is wrong",
          "SELECT count(*) FROM awa.queue_counts() AS c JOIN (SELECT queue, count(*) FILTER (WHERE"
          " state = 'completed') AS completed, count(*) FILTER (WHERE state = 'failed') AS failed,"
          " count(*) FILTER (WHERE state = 'cancelled') AS cancelled FROM awa.jobs GROUP BY queue)"
          " AS j USING (queue) WHERE (c.completed, c.failed, c.cancelled) <> (j.completed,"
          " j.failed, j.cancelled) OR c.available + c.running + c.scheduled + c.retryable > 0" },
    };

    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++)
        if (test_int(db, checks[i].sql) != 0)
            fail_msg("%s", checks[i].what);
}

static void
no_job_is_lost_and_none_is_claimed_twice(void **state)
{
    run_churn(*state, false, 12000);
    check_jobs(*state);
    check_tables(*state);
}

static void
whatever_happens_to_a_job_it_ends_once(void **state)
{
    run_churn(*state, true, 6000);
    check_jobs(*state);
    check_tables(*state);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST_DB(no_job_is_lost_and_none_is_claimed_twice),
        TEST_DB(whatever_happens_to_a_job_it_ends_once),
    };

    return TEST_RUN(tests);
}
