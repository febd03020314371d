/* SPDX-License-Identifier: MIT */
/*
 * Everything at once: producers that keep transactions open and roll some back, workers, an
 * impatient ring; and in the second test workers that die, operators that cancel, handlers that
 * complete in their own transactions. No job is lost, and none ends twice.
 */
#include "test_jobs.h"

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "cli/spawn.h"
#include "worker/ranges.h"

enum {
    PRODUCERS = 16,
    WORKERS = 4,
    HOLD_MS = 300,    /* a transaction stays open for so long, at most */
    ROLLBACKS = 9,    /* percent */
    TURN_MS = 200,    /* of the ring */
    ID_MAX = 1 << 20, /* more ids than any run draws */
    BATCH_MAX = 100,
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
    pthread_mutex_t lock;
    char trouble[400]; /* the first error of any thread */
} churn;

struct actor {
    pthread_t thread;
    int number;
    unsigned seed;
    PGconn *conn;
    int64_t worker; /* as it is registered */
    int64_t beat_at;
};

/* ---- Small things ------------------------------------------------------------------------ */

static int
dice(struct actor *a, int n)
{
    return rand_r(&a->seed) % n;
}

static void
nap(int ms)
{
    (void)poll(NULL, 0, ms);
}

/* The first trouble ends the test. */
static void
report(const char *what, const char *text)
{
    pthread_mutex_lock(&churn.lock);
    if (churn.trouble[0] == '\0')
        snprintf(churn.trouble, sizeof churn.trouble, "%s: %s", what, text);
    pthread_mutex_unlock(&churn.lock);
    atomic_store(&churn.closing_time, true);
    atomic_store(&churn.over, true);
}

/* NULL if it failed with the SQLSTATE that may happen; any other failure is trouble. */
static PGresult *
ask(struct actor *a, const char *may_fail, const char *sql)
{
    PGresult *res = PQexec(a->conn, sql);
    const char *sqlstate = PQresultErrorField(res, PG_DIAG_SQLSTATE);

    if (PQresultStatus(res) == PGRES_TUPLES_OK || PQresultStatus(res) == PGRES_COMMAND_OK)
        return res;
    if (sqlstate == NULL || strcmp(sqlstate, may_fail) != 0)
        report(sql, PQresultErrorMessage(res));
    PQclear(res);
    return NULL;
}

static bool
run(struct actor *a, const char *may_fail, const char *sql)
{
    PGresult *res = ask(a, may_fail, sql);

    PQclear(res);
    return res != NULL;
}

static bool
run_number(struct actor *a, const char *may_fail, const char *format, int64_t number)
{
    char sql[300];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(sql, sizeof sql, format, (long long)number);
#pragma GCC diagnostic pop
    return run(a, may_fail, sql);
}

static bool
enter(struct actor *a, const char *dsn)
{
    awa_error err;

    if (awa_connect(dsn, &a->conn, &err) == AWA_OK)
        return true;
    report("connect", err.message);
    return false;
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
    int n = dice(a, 3) == 0 ? 1 : 1 + dice(a, BATCH_MAX - 1);
    awa_error err;
    awa_status s;

    for (int i = 0; i < n; i++)
        batch[i] = (awa_job_options){ .size = sizeof batch[0],
                                      .kind = "churn",
                                      .priority = 1 + dice(a, 2),
                                      .ordering_key = keys[dice(a, 3)],
                                      .delay_ms = churn.rough && dice(a, 20) == 0 ? 200 : 0 };
    if (!run(a, "", "BEGIN"))
        return;
    s = n == 1            ? awa_job_insert(a->conn, batch, ids, &err)
        : dice(a, 2) == 0 ? awa_jobs_insert(a->conn, batch, (size_t)n, ids, &err)
                          : awa_jobs_copy(a->conn, batch, (size_t)n, ids, &err);
    if (s != AWA_OK) {
        report("insert", err.message);
        return;
    }
    nap(dice(a, HOLD_MS));
    if (dice(a, 100) < ROLLBACKS) {
        run(a, "", "ROLLBACK");
        return;
    }
    if (!run(a, "", "COMMIT"))
        return;
    for (int i = 0; i < n; i++)
        atomic_store(&jobs[ids[i]].committed, 1);
    atomic_fetch_add(&churn.committed, n);
}

static void *
producer(void *arg)
{
    struct actor *a = arg;

    if (enter(a, churn.bulk))
        while (!atomic_load(&churn.closing_time))
            produce(a);
    PQfinish(a->conn);
    return NULL;
}

/* ---- Workers ----------------------------------------------------------------------------- */

static void
hire(struct actor *a)
{
    a->worker = (int64_t)a->number << 32 | (unsigned)(a->worker + 1);
    run_number(a, "", "SELECT awa.register_worker(%lld, 'churn', '{default}')", a->worker);
}

enum { ID, CLAIM, POS, SLOT };

static int64_t
number(const PGresult *res, int row, int column)
{
    return strtoll(PQgetvalue(res, row, column), NULL, 10);
}

/* All of a claim with one call. */
static void
complete_all(struct actor *a, const PGresult *rows)
{
    char *sql = NULL;
    size_t len = 0;
    struct ranges done = { 0 };
    PGresult *res;
    FILE *out = open_memstream(&sql, &len);

    fprintf(out, "SELECT awa.complete_jobs(%" PRId64 ", ARRAY[", a->worker);
    for (int i = 0; i < PQntuples(rows); i++)
        fprintf(out, "%s%s", i > 0 ? "," : "", PQgetvalue(rows, i, SLOT));
    fprintf(out, "]::smallint[], ARRAY[");
    for (int i = 0; i < PQntuples(rows); i++)
        fprintf(out, "%s%s", i > 0 ? "," : "", PQgetvalue(rows, i, CLAIM));
    fprintf(out, "]::bigint[], ARRAY[");
    for (int i = 0; i < PQntuples(rows); i++)
        fprintf(out, "%s'{[%s,%s]}'", i > 0 ? "," : "", PQgetvalue(rows, i, POS),
                PQgetvalue(rows, i, POS));
    fprintf(out, "]::int8multirange[])");
    (void)fclose(out);
    res = ask(a, "", sql);
    if (res != NULL && ranges_parse(&done, PQgetvalue(res, 0, 0)))
        for (int i = 0; i < PQntuples(rows); i++) {
            if (ranges_contain(&done, number(rows, i, POS)))
                end_job(number(rows, i, ID));
            else if (!churn.rough)
                report("complete", "a job was stale");
        }
    ranges_done(&done);
    PQclear(res);
    free(sql);
}

/* One job, in its own transaction, or with an outcome that lets it live on. */
static void
close_one(struct actor *a, const PGresult *rows, int i)
{
    static const char *const outcomes[] = { "failed", "retried", "snoozed", "released", "expired" };
    char sql[400];
    PGresult *res;

    if (dice(a, 2) == 0) {
        bool done = run(a, "", "BEGIN");

        snprintf(sql, sizeof sql, "SELECT awa.complete_job(%" PRId64 ", %s, %s)", a->worker,
                 PQgetvalue(rows, i, CLAIM), PQgetvalue(rows, i, POS));
        done = done && run(a, "JQ003", sql);
        nap(dice(a, 20));
        run(a, "", "COMMIT");
        if (done)
            end_job(number(rows, i, ID));
        return;
    }
    snprintf(sql, sizeof sql,
             "SELECT state FROM awa.close_jobs(%" PRId64 ", '{%s}', '{%s}', '{%s}', '{%s}',"
             " NULL, NULL, '{100 ms}')",
             a->worker, PQgetvalue(rows, i, SLOT), PQgetvalue(rows, i, CLAIM),
             PQgetvalue(rows, i, POS), outcomes[dice(a, 5)]);
    res = ask(a, "", sql);
    if (res != NULL && strcmp(PQgetvalue(res, 0, 0), "failed") == 0)
        end_job(number(rows, i, ID));
    PQclear(res);
}

static void
work(struct actor *a)
{
    char sql[200];
    PGresult *rows;

    if (now_ms() - a->beat_at > 1000) {
        run_number(a, "", "SELECT awa.heartbeat('{%lld}')", a->worker);
        a->beat_at = now_ms();
    }
    snprintf(sql, sizeof sql,
             "SELECT id, claim_id, pos, ready_slot FROM awa.claim_jobs(%" PRId64 ", 'default', %d)",
             a->worker, 1 + dice(a, 200));
    rows = ask(a, "", sql);
    for (int i = 0; rows != NULL && i < PQntuples(rows); i++)
        atomic_fetch_add(&jobs[number(rows, i, ID)].claimed, 1);
    if (rows == NULL || PQntuples(rows) == 0) {
        nap(5);
    } else if (!churn.rough) {
        nap(dice(a, 30));
        complete_all(a, rows);
    } else if (dice(a, 20) == 0) { /* it dies with its jobs */
        run_number(a, "", "SELECT awa.deregister_worker(%lld)", a->worker);
        hire(a);
    } else if (PQntuples(rows) <= 3) {
        for (int i = 0; i < PQntuples(rows); i++)
            close_one(a, rows, i);
    } else {
        close_one(a, rows, 0);
        nap(dice(a, 30));
        complete_all(a, rows);
    }
    PQclear(rows);
}

static void *
worker(void *arg)
{
    struct actor *a = arg;

    if (enter(a, churn.worker)) {
        hire(a);
        while (!atomic_load(&churn.over))
            work(a);
    }
    PQfinish(a->conn);
    return NULL;
}

/* ---- The leader, and an operator --------------------------------------------------------- */

static void
empty_slot(struct actor *a, int slot)
{
    PGresult *res;
    char sql[100];

    /* JQ001: it is the current one; 55P03: somebody was in the way */
    if (!run_number(a, "JQ001", "SELECT awa.checkpoint_heads(%lld::smallint)", slot) ||
        !run_number(a, "55P03", "SELECT awa.carry_forward(%lld::smallint)", slot))
        return;
    snprintf(sql, sizeof sql, "SELECT awa.prune_slot(%d::smallint)", slot);
    res = ask(a, "", sql);
    if (res != NULL && strcmp(PQgetvalue(res, 0, 0), "pruned") == 0)
        atomic_fetch_add(&churn.pruned, 1);
    PQclear(res);
}

static void *
leader(void *arg)
{
    struct actor *a = arg;

    if (!enter(a, churn.worker))
        return NULL;
    while (!atomic_load(&churn.over)) {
        run(a, "", "SELECT awa.turn_ring()");
        for (int slot = 0; slot < 16; slot++)
            empty_slot(a, slot);
        run(a, "", "SELECT awa.sweep_gaps()");
        run(a, "", "SELECT awa.promote_jobs()");
        run(a, "", "SELECT awa.rescue_jobs()");
        nap(TURN_MS);
    }
    PQfinish(a->conn);
    return NULL;
}

static void *
operator_thread(void *arg)
{
    struct actor *a = arg;

    if (!enter(a, churn.operator))
        return NULL;
    while (!atomic_load(&churn.over)) {
        int64_t id = 1 + dice(a, (int)atomic_load(&churn.committed) + 100);
        char sql[100];
        PGresult *res;

        nap(dice(a, 20));
        if (!atomic_load(&jobs[id].committed))
            continue;
        snprintf(sql, sizeof sql, "SELECT awa.cancel_job(%" PRId64 ")", id);
        res = ask(a, "JQ006", sql);
        if (res != NULL && strcmp(PQgetvalue(res, 0, 0), "t") == 0)
            end_job(id);
        PQclear(res);
    }
    PQfinish(a->conn);
    return NULL;
}

/* ---- Tests ------------------------------------------------------------------------------- */

static void
start(struct actor *actors, int *n, void *(*run_it)(void *))
{
    struct actor *a = &actors[*n];

    *a = (struct actor){ .number = *n + 1, .seed = (unsigned)*n };
    assert_int_equal(pthread_create(&a->thread, NULL, run_it, a), 0);
    (*n)++;
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
    pthread_mutex_init(&churn.lock, NULL);
    test_exec(db, "UPDATE awa.settings SET slot_age = '100 ms', completed_retention = '0 s',"
                  " failed_retention = '0 s'");
    test_exec(db, "SELECT awa.set_queue('default', 2)");

    for (int i = 0; i < PRODUCERS; i++)
        start(actors, &n, producer);
    for (int i = 0; i < WORKERS; i++)
        start(actors, &n, worker);
    start(actors, &n, leader);
    if (rough)
        start(actors, &n, operator_thread);

    while (now_ms() < until && !atomic_load(&churn.over))
        nap(20);
    atomic_store(&churn.closing_time, true);
    for (int i = 0; i < PRODUCERS; i++)
        pthread_join(actors[i].thread, NULL);
    until = now_ms() + 60000;
    while (atomic_load(&churn.ended) < atomic_load(&churn.committed) && now_ms() < until &&
           !atomic_load(&churn.over))
        nap(20);
    nap(rough ? 300 : 100); /* whoever would end a job twice has a last chance */
    atomic_store(&churn.over, true);
    for (int i = PRODUCERS; i < n; i++)
        pthread_join(actors[i].thread, NULL);
    pthread_mutex_destroy(&churn.lock);
    if (churn.trouble[0] != '\0')
        fail_msg("%s", churn.trouble);
}

static void
check_jobs(void)
{
    int64_t lost = 0, doubled = 0, ghosts = 0;

    for (size_t id = 0; id < ID_MAX; id++) {
        lost += jobs[id].committed && jobs[id].ended == 0;
        doubled += jobs[id].ended > 1 || (!churn.rough && jobs[id].claimed > 1);
        ghosts += !jobs[id].committed && (jobs[id].claimed > 0 || jobs[id].ended > 0);
    }
    print_message("%" PRId64 " jobs, %" PRId64 " slots emptied\n", churn.committed, churn.pruned);
    if (lost + doubled + ghosts > 0)
        fail_msg("of %" PRId64 " jobs %" PRId64 " were lost, %" PRId64 " were doubled, and %" PRId64
                 " never existed",
                 churn.committed, lost, doubled, ghosts);
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
    check_jobs();
    check_tables(*state);
}

static void
whatever_happens_to_a_job_it_ends_once(void **state)
{
    run_churn(*state, true, 6000);
    check_jobs();
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
