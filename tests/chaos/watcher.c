/* SPDX-License-Identifier: MIT */
/*
 * The watcher: looks at the database from outside while it runs. Argument "counts": it compares
 * numbers, which it reads in one snapshot; it holds the ringed tables against truncation meanwhile,
 * because TRUNCATE does not know snapshots.
 */
#include "watcher.h"

#include "process.h"

enum {
    LOOK_MS = 100,
    SLOW_MS = 3000,
    PRUNES = 5,         /* tries in one look */
    RECOUNT_MS = 10000, /* between two recounts, which cost much */
};

/* Three questions about one reading of all jobs, for that is what costs. */
static const char recount[] =
    "WITH j AS MATERIALIZED (SELECT id, queue, state, unique_key, dlq_at FROM awa.jobs)"
    "SELECT (SELECT string_agg(format('%s: counted %s, found %s', coalesce(c.queue, r.queue), c.n,"
    "                                 r.n), '; ')"
    "          FROM (SELECT q.queue, ARRAY[q.available, q.scheduled, q.retryable, q.running,"
    "                       q.completed, q.failed, q.cancelled, q.dead_lettered] AS n"
    "                  FROM awa.queue_counts() AS q"
    "                 WHERE q.available + q.scheduled + q.retryable + q.running + q.completed"
    "                       + q.failed + q.cancelled + q.dead_lettered > 0) AS c"
    "          FULL JOIN (SELECT j.queue, ARRAY["
    "                       count(*) FILTER (WHERE j.state = 'available'),"
    "                       count(*) FILTER (WHERE j.state = 'scheduled'),"
    "                       count(*) FILTER (WHERE j.state = 'retryable'),"
    "                       count(*) FILTER (WHERE j.state = 'running'),"
    "                       count(*) FILTER (WHERE j.state = 'completed'),"
    "                       count(*) FILTER (WHERE j.state = 'failed' AND j.dlq_at IS NULL),"
    "                       count(*) FILTER (WHERE j.state = 'cancelled'),"
    "                       count(*) FILTER (WHERE j.dlq_at IS NOT NULL)] AS n"
    "                       FROM j GROUP BY j.queue) AS r ON r.queue = c.queue"
    "         WHERE c.n IS DISTINCT FROM r.n),"
    "       (SELECT string_agg(d.unique_key, ' ')"
    "          FROM (SELECT j.unique_key FROM j"
    "                 WHERE j.unique_key IS NOT NULL"
    "                   AND j.state NOT IN ('completed', 'failed', 'cancelled')"
    "                 GROUP BY j.unique_key HAVING count(*) > 1) AS d),"
    "       (SELECT string_agg(d.id::text, ' ')"
    "          FROM (SELECT j.id FROM j GROUP BY j.id HAVING count(*) > 1) AS d)";

static const char waits[] =
    "SELECT string_agg(format('%s waits for %s on %s: %s', a.pid, pg_blocking_pids(a.pid),"
    "                         l.locktype, left(a.query, 60)), '; ')"
    "  FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid"
    " WHERE NOT l.granted AND l.waitstart < clock_timestamp() - interval '5 s'";

static const char sizes[] =
    "SELECT (SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_class AS c"
    "         WHERE c.relnamespace = 'awa'::regnamespace AND c.relkind = 'r'),"
    "       (SELECT count(*) FROM pg_stat_activity WHERE usename LIKE 'chaos_%'),"
    "       (SELECT coalesce(sum(s.n_dead_tup), 0)::bigint FROM pg_stat_user_tables AS s"
    "         WHERE s.schemaname = 'awa' AND s.relname ~ '_[0-9]+$'),"
    "       (pg_notification_queue_usage() * 1000000)::bigint";

static const char terms[] = "SELECT l.term, coalesce((SELECT w.name FROM awa.workers AS w"
                            "                          WHERE w.worker_id = l.worker_id), 'c0')"
                            "  FROM awa.leaders AS l WHERE l.term > $1::bigint ORDER BY l.term";

static const char taken[] = "SELECT substr(name, 2), jobs FROM taken WHERE jobs > 0";

/* What was seen last. */
struct seen {
    int64_t term, lead;
    int64_t taken[PROCS_MAX]; /* by process */
    uint64_t taken_ns;        /* when that was */
};

static void
sample(enum sample what, bool good, uint64_t number)
{
    record_write((struct record){ .op = OP_SAMPLE,
                                  .phase = good ? PHASE_OK : PHASE_FAIL,
                                  .res = (uint8_t)what,
                                  .job = number });
}

/* A statement whose columns say what must not be, for one sample after the other; NULL: nothing. */
static void
expect_nothing(PGconn *conn, const struct process *p, enum sample what, const char *sql)
{
    AUTO(pgresult) PGresult *res = query(conn, sql, 0, NULL);

    for (int i = 0; succeeded(res) && i < PQnfields(res); i++) {
        sample((enum sample)(what + i), PQgetisnull(res, 0, i), 0);
        if (!PQgetisnull(res, 0, i))
            fprintf(stderr, "%llu watcher %u: %s: %s\n", (unsigned long long)(mono_ns() / 1000000),
                    p->proc, sample_name((enum sample)(what + i)), PQgetvalue(res, 0, i));
    }
}

static void
look_at_numbers(PGconn *conn, const struct process *p)
{
    AUTO(pgresult)
    PGresult *begun = query(conn, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", 0, NULL);
    AUTO(pgresult)
    PGresult *locked =
        query(conn,
              "LOCK TABLE awa.ready_entries, awa.ready_tombstones, awa.claims, awa.closures,"
              " awa.done_entries, awa.queue_terminal_count_deltas, awa.queue_terminal_live_counts"
              " IN ACCESS SHARE MODE",
              0, NULL);
    AUTO(pgresult) PGresult *ended = NULL;

    if (succeeded(locked))
        expect_nothing(conn, p, SAMPLE_COUNTS, recount);
    ended = query(conn, "ROLLBACK", 0, NULL);
}

static void
look_at_sizes(PGconn *conn)
{
    AUTO(pgresult) PGresult *res = query(conn, sizes, 0, NULL);

    for (int i = 0; succeeded(res) && i < PQnfields(res); i++)
        sample((enum sample)(SAMPLE_BYTES + i), true, (uint64_t)number_at(res, 0, i));
}

static void
look_at_terms(PGconn *conn, struct seen *seen)
{
    char text[24];
    AUTO(pgresult) PGresult *res = NULL;

    snprintf(text, sizeof text, "%lld", (long long)seen->term);
    res = query(conn, terms, 1, (const char *[]){ text });
    for (int i = 0; succeeded(res) && i < PQntuples(res); i++) {
        seen->term = number_at(res, i, 0);
        record_write((struct record){ .op = OP_TERM,
                                      .phase = PHASE_OK,
                                      .job = (uint64_t)seen->term,
                                      .key = strtoull(PQgetvalue(res, i, 1) + 1, NULL, 10) });
    }
}

/* A leader that lives renews its term again and again. */
static void
look_at_leader(PGconn *conn, struct seen *seen)
{
    AUTO(pgresult)
    PGresult *res = query(conn, "SELECT last_value FROM awa.leader_until", 0, NULL);

    if (!succeeded(res) || number_at(res, 0, 0) == seen->lead)
        return;
    seen->lead = number_at(res, 0, 0);
    sample(SAMPLE_LEAD, true, (uint64_t)seen->lead);
}

static void
look_at_rescues(PGconn *conn, struct seen *seen)
{
    uint64_t now = mono_ns();
    AUTO(pgresult) PGresult *res = query(conn, taken, 0, NULL);

    for (int i = 0; succeeded(res) && i < PQntuples(res); i++) {
        uint64_t proc = (uint64_t)number_at(res, i, 0) % PROCS_MAX;
        int64_t n = number_at(res, i, 1);

        if (n > seen->taken[proc])
            record_write((struct record){ .op = OP_TAKEN,
                                          .phase = PHASE_OK,
                                          .key = proc,
                                          .position = seen->taken_ns,
                                          .aux = (uint32_t)(n - seen->taken[proc]) });
        seen->taken[proc] = n;
    }
    if (succeeded(res))
        seen->taken_ns = now;
}

static void
look_at_backlog(PGconn *conn, const struct process *p)
{
    AUTO(pgresult)
    PGresult *res =
        query(conn, "SELECT sum(available)::bigint FROM awa.queue_counts_fast()", 0, NULL);

    if (succeeded(res))
        atomic_store(&p->board->backlog, number_at(res, 0, 0));
}

/*
 * Empties slots beside the leader, as a second one would that does not know that it is none. On a
 * busy machine the leader alone hardly ever finds the 10 ms in which nobody reads a slot.
 */
static void
prune(PGconn *conn)
{
    for (int i = 0; i < PRUNES; i++) {
        AUTO(pgresult)
        PGresult *res = query(conn,
                              "SELECT awa.prune_slot(s) FROM awa.slot_to_prune() AS s"
                              " WHERE s IS NOT NULL",
                              0, NULL);

        if (!succeeded(res) || PQntuples(res) == 0 || strcmp(PQgetvalue(res, 0, 0), "busy") != 0)
            return;
    }
}

/* A look that takes long is worth a line: until it ends, nothing is seen. */
static uint64_t
say_if_slow(const struct process *p, const char *what, uint64_t since_ns)
{
    uint64_t now = mono_ns();

    if (now - since_ns > SLOW_MS * 1000000ull)
        fprintf(stderr, "%llu watcher %u: %s took %llu ms\n", (unsigned long long)(now / 1000000),
                p->proc, what, (unsigned long long)((now - since_ns) / 1000000));
    return now;
}

static void
look(PGconn *conn, const struct process *p, struct seen *seen, uint64_t *look_at)
{
    uint64_t since = mono_ns();

    look_at_terms(conn, seen);
    look_at_leader(conn, seen);
    look_at_rescues(conn, seen);
    since = say_if_slow(p, "a look at the workers", since);
    look_at_backlog(conn, p);
    since = say_if_slow(p, "a look at the backlog", since);
    prune(conn);
    (void)say_if_slow(p, "a prune", since);
    if (mono_ns() < *look_at)
        return;
    expect_nothing(conn, p, SAMPLE_WAITS, waits);
    look_at_sizes(conn);
    *look_at = mono_ns() + 1000000000ull;
}

static void
count(PGconn *conn, const struct process *p)
{
    uint64_t began = mono_ns();

    look_at_numbers(conn, p);
    sample(SAMPLE_RECOUNT_MS, true, (mono_ns() - began) / 1000000);
}

int
watcher_main(struct process *p)
{
    bool counts = p->argc > 0 && strcmp(p->argv[0], "counts") == 0;
    PGconn *conn = NULL;
    static struct seen seen;
    uint64_t look_at = 0;

    while (!process_ends()) {
        if (conn != NULL && PQstatus(conn) != CONNECTION_OK)
            PQfinish(TAKE(conn));
        if (conn == NULL && (conn = process_session(p, "SET lock_timeout = '2s'")) == NULL)
            break;
        if (counts)
            count(conn, p);
        else
            look(conn, p, &seen, &look_at);
        sleep_ms(counts ? RECOUNT_MS : LOOK_MS);
    }
    PQfinish(conn);
    return 0;
}
