/* SPDX-License-Identifier: MIT */
/* See test_jobs.h. */
#include "test_jobs.h"

#include <string.h>

void
test_number_at(PGconn *db, int64_t number, const char *file, int line)
{
    test_exec_at(db,
                 test_format("SELECT setval('awa.worker_numbers', %lld, false)", (long long)number),
                 file, line);
}

PGconn *
test_worker_at(PGconn *db, int64_t worker, const char *file, int line)
{
    PGconn *conn = test_connect_at(db, "worker", file, line);

    test_number_at(db, worker, file, line);
    test_exec_at(conn,
                 test_format("SELECT awa.register_worker(%lld, 'w%lld', '{default}')",
                             (long long)worker, (long long)worker),
                 file, line);
    return conn;
}

void
test_silence_at(PGconn *db, int64_t number, int seconds, const char *file, int line)
{
    test_exec_at(db,
                 test_format("DELETE FROM awa.worker_beats WHERE worker_id = %lld;"
                             "UPDATE awa.workers SET last_seen_at = clock_timestamp() -"
                             " interval '%d s', seen_ms = awa.served_now() - %d000"
                             " WHERE worker_id = %lld;"
                             "SELECT setval('awa.outage_ended', 0)",
                             (long long)number, seconds, seconds, (long long)number),
                 file, line);
}

static int
claim_from(PGconn *conn, int64_t worker, const char *queue, int max, struct attempt *ret,
           const char *file, int line)
{
    const char *rows = test_rows_at(conn,
                                    test_format("SELECT id, claim_id, pos, ready_slot, attempt"
                                                " FROM awa.claim_jobs(%lld, '%s', %d)",
                                                (long long)worker, queue, max),
                                    file, line);
    int n = 0;

    while (*rows != '\0' && n < 16) {
        long long id, claim, pos;
        int slot, number, read;

        if (sscanf(rows, "%lld|%lld|%lld|%d|%d%n", &id, &claim, &pos, &slot, &number, &read) != 5)
            fail_msg("odd row: %s", rows);
        ret[n++] = (struct attempt){ worker, id, claim, pos, slot, number };
        rows += read + (rows[read] == ' ');
    }
    return n;
}

int
test_claim_at(PGconn *conn, int64_t worker, int max, struct attempt *ret, const char *file,
              int line)
{
    return claim_from(conn, worker, "default", max, ret, file, line);
}

struct attempt
test_claim_one_at(PGconn *conn, int64_t worker, const char *file, int line)
{
    struct attempt all[16] = { 0 };
    int n = test_claim_at(conn, worker, 16, all, file, line);

    if (n != 1) {
        print_error("%s:%d: want one job, got %d\n", file, line, n);
        _fail(file, line);
    }
    return all[0];
}

const char *
test_close_sql(const struct attempt *a, const char *outcome, const char *rest)
{
    return test_format("SELECT coalesce(state, '!' || error) FROM awa.close_jobs(%lld, '{%d}',"
                       " '{%lld}', '{%lld}', '{%s}'%s%s)",
                       (long long)a->worker, a->slot, (long long)a->claim, (long long)a->pos,
                       outcome, *rest != '\0' ? ", " : "", rest);
}

const char *
test_attempt_sql(const char *text, const struct attempt *a)
{
    char sql[4000];

    return test_format("%s", attempt_sql(sql, sizeof sql, text, a));
}

void
test_end_at(PGconn *conn, const char *queue, int max, const char *outcome, const char *file,
            int line)
{
    test_exec_at(conn,
                 test_format("SELECT k.state FROM awa.claim_jobs(7, '%s', %d) AS c CROSS JOIN"
                             " LATERAL awa.close_jobs(7, ARRAY[c.ready_slot], ARRAY[c.claim_id],"
                             " ARRAY[c.pos], '{%s}', '{why}') AS k",
                             queue, max, outcome),
                 file, line);
}

void
test_complete_at(PGconn *conn, const char *queue, int max, const char *file, int line)
{
    test_exec_at(conn,
                 test_format("SELECT awa.complete_jobs(7, array_agg(c.ready_slot),"
                             " array_agg(c.claim_id), array_agg(int8multirange(int8range(c.pos,"
                             " c.pos + 1)))) FROM awa.claim_jobs(7, '%s', %d) AS c",
                             queue, max),
                 file, line);
}

void
test_wait_settled(PGconn *db)
{
    const char *last = test_text(db, "SELECT pg_current_xact_id()");

    test_wait_until(
        db, test_format("SELECT pg_snapshot_xmin(pg_current_snapshot()) > '%s'::xid8", last),
        60000);
}

const char *
test_state(PGconn *db, int64_t id)
{
    return test_text(db, test_format("SELECT CASE count(*) WHEN 0 THEN 'none' WHEN 1 THEN"
                                     " min(state::text) ELSE 'several' END"
                                     " FROM awa.jobs WHERE id = %lld",
                                     (long long)id));
}

/* ---- Counting ---------------------------------------------------------------------------- */

/*
 * test.recount(): in the caller's snapshot, what is wrong with the counts; every count as a text;
 * how many jobs there are and were pruned; and the jobs, each as "id state attempt slot", with slot
 * -1 for those that are in none. The facts are awa.jobs, counted one by one, by the keys that the
 * counters have. The texts of the checks that fail name the rows that are too many on one side.
 * Without p_scan, what awa.scanned_terminal() finds is left out: it plans anew at each call.
 */
static const char make_recount[] =
    "CREATE SCHEMA IF NOT EXISTS test;"
    "GRANT USAGE ON SCHEMA test TO PUBLIC;"
    "CREATE OR REPLACE FUNCTION test.recount(p_scan boolean DEFAULT true, OUT trouble text,"
    " OUT counts text, OUT total bigint, OUT jobs text) LANGUAGE plpgsql STABLE SECURITY DEFINER"
    " SET jit = off SET plan_cache_mode = force_generic_plan"
    " SET search_path = pg_catalog, pg_temp AS $$\n" /* as the engine: or each call plans anew */
    "BEGIN\n"
    "WITH jobs AS MATERIALIZED (\n"
    "    SELECT j.id, j.attempt, j.queue, j.priority, j.enqueue_shard, j.ready_slot,\n"
    "           CASE WHEN j.dlq_at IS NULL THEN j.state::text ELSE 'dead' END AS state\n"
    "      FROM awa.jobs AS j),\n"
    "facts AS (\n"
    "    SELECT j.ready_slot, j.queue, j.priority, j.enqueue_shard,\n"
    "           count(*) FILTER (WHERE j.state = 'completed'),\n"
    "           count(*) FILTER (WHERE j.state = 'failed'),\n"
    "           count(*) FILTER (WHERE j.state = 'cancelled')\n"
    "      FROM jobs AS j\n"
    "     WHERE j.state IN ('completed', 'failed', 'cancelled')\n"
    "     GROUP BY 1, 2, 3, 4),\n"
    "ways AS MATERIALIZED (\n"
    "    SELECT w.way, w.ready_slot, l.queue, l.priority, l.enqueue_shard,\n"
    "           coalesce(sum(w.completed), 0) AS completed, coalesce(sum(w.failed), 0) AS failed,\n"
    "           coalesce(sum(w.cancelled), 0) AS cancelled\n"
    "      FROM (SELECT 'counted' AS way, c.* FROM awa.counted_terminal() AS c\n"
    "            UNION ALL SELECT 'scanned', s.* FROM awa.scanned_terminal() AS s\n"
    "                       WHERE p_scan) AS w\n"
    "      JOIN awa.lanes AS l ON l.lane_id = w.lane_id\n"
    "     GROUP BY 1, 2, 3, 4, 5),\n"
    "counted AS (SELECT w.ready_slot, w.queue, w.priority, w.enqueue_shard, w.completed,\n"
    "                   w.failed, w.cancelled\n"
    "              FROM ways AS w\n"
    "             WHERE w.way = 'counted' AND (w.completed, w.failed, w.cancelled) <> (0, 0, 0)),\n"
    "scanned AS (SELECT w.ready_slot, w.queue, w.priority, w.enqueue_shard, w.completed,\n"
    "                   w.failed, w.cancelled\n"
    "              FROM ways AS w\n"
    "             WHERE w.way = 'scanned' AND (w.completed, w.failed, w.cancelled) <> (0, 0, 0)),\n"
    "here AS (\n"
    "    SELECT j.queue, count(*) FILTER (WHERE j.state = 'available'),\n"
    "           count(*) FILTER (WHERE j.state = 'scheduled'),\n"
    "           count(*) FILTER (WHERE j.state = 'retryable'),\n"
    "           count(*) FILTER (WHERE j.state = 'running'),\n"
    "           count(*) FILTER (WHERE j.state = 'waiting_external'),\n"
    "           count(*) FILTER (WHERE j.state = 'completed'),\n"
    "           count(*) FILTER (WHERE j.state = 'failed'),\n"
    "           count(*) FILTER (WHERE j.state = 'cancelled'),\n"
    "           count(*) FILTER (WHERE j.state = 'dead')\n"
    "      FROM jobs AS j GROUP BY j.queue),\n"
    "said AS MATERIALIZED (SELECT c.* FROM awa.queue_counts() AS c),\n"
    "told AS (\n"
    "    SELECT c.queue, c.available, c.scheduled, c.retryable, c.running, c.waiting_external,\n"
    "           c.completed, c.failed, c.cancelled, c.dead_lettered\n"
    "      FROM said AS c\n"
    "     WHERE (c.available, c.scheduled, c.retryable, c.running, c.waiting_external,\n"
    "            c.completed, c.failed, c.cancelled, c.dead_lettered)\n"
    "           <> (0, 0, 0, 0, 0, 0, 0, 0, 0))\n"
    "SELECT (SELECT string_agg(t.what, E'\\n')\n"
    "          FROM (SELECT CASE WHEN sum(s.side) > 0 THEN 'there, not ' || s.way\n"
    "                            ELSE s.way || ', not there' END || ': ' || s.key AS what\n"
    "                  FROM (SELECT 'counted' AS way, f::text AS key, 1 AS side FROM facts AS f\n"
    "                        UNION ALL SELECT 'counted', c::text, -1 FROM counted AS c\n"
    "                        UNION ALL SELECT 'scanned', f::text, 1 FROM facts AS f WHERE p_scan\n"
    "                        UNION ALL SELECT 'scanned', s::text, -1 FROM scanned AS s\n"
    "                        UNION ALL SELECT 'told', h::text, 1 FROM here AS h\n"
    "                        UNION ALL SELECT 'told', t::text, -1 FROM told AS t) AS s\n"
    "                 GROUP BY s.way, s.key HAVING sum(s.side) <> 0\n"
    "                UNION ALL SELECT 'several times there: ' || j.id\n"
    "                  FROM jobs AS j GROUP BY j.id HAVING count(*) > 1) AS t),\n"
    "       (SELECT string_agg(c::text, ' ' ORDER BY c.queue) FROM said AS c),\n"
    "       (SELECT coalesce(sum(c.available + c.scheduled + c.retryable + c.running\n"
    "                            + c.waiting_external + c.completed + c.failed + c.cancelled\n"
    "                            + c.dead_lettered + c.pruned_completed + c.pruned_failed\n"
    "                            + c.pruned_cancelled), 0) FROM said AS c),\n"
    "       (SELECT string_agg(concat_ws(' ', j.id, j.state, j.attempt,\n"
    "                                    coalesce(j.ready_slot, -1)), ' ' ORDER BY j.id)\n"
    "          FROM jobs AS j)\n"
    "  INTO trouble, counts, total, jobs;\n"
    "END $$;";

void
test_make_recount(PGconn *db)
{
    test_exec(db, make_recount);
}

const char *
test_trouble_at(PGconn *db, const char *file, int line)
{
    if (test_int_at(db, "SELECT count(to_regproc('test.recount'))", file, line) == 0)
        test_exec_at(db, make_recount, file, line);
    return test_text_at(db, "SELECT coalesce(trouble, '') FROM test.recount()", file, line);
}

void
test_counts_at(PGconn *db, const char *file, int line)
{
    const char *trouble = test_trouble_at(db, file, line);

    if (*trouble != '\0') {
        print_error("%s:%d: the counts are wrong\n%s\n", file, line, trouble);
        _fail(file, line);
    }
}

/* ---- Shaking ----------------------------------------------------------------------------- */

static const char *const outcomes[] = { "completed", "completed", "failed",   "cancelled",
                                        "retried",   "snoozed",   "released", "expired" };

static void
claim_some(PGconn *db, unsigned *seed)
{
    struct attempt a[16];
    int n;

    n = claim_from(db, 7, test_format("q%d", rand_r(seed) % 3), 1 + rand_r(seed) % 4, a, __FILE__,
                   __LINE__);
    for (int i = 0; i < n; i++)
        if (rand_r(seed) % 4 != 0)
            test_text(db, test_close_sql(&a[i], outcomes[rand_r(seed) % 8],
                                         rand_r(seed) % 2 ? "'{why}', NULL, '{1 h}'" : ""));
}

static void
turn_some(PGconn *db, unsigned *seed)
{
    int64_t slot = test_int(db, "SELECT awa.current_slot()");

    if (rand_r(seed) % 3 == 0) {
        test_exec(db, "SELECT awa.rotate_ring(true)");
        return;
    }
    if (slot == 0)
        return;
    slot = rand_r(seed) % slot;
    test_exec(db, test_format("SELECT awa.checkpoint_heads(%d::smallint),"
                              " awa.carry_forward(%d::smallint, 5)",
                              (int)slot, (int)slot));
    if (rand_r(seed) % 2 == 0)
        test_text(db, test_format("SELECT awa.prune_slot(%d::smallint)", (int)slot));
}

static void
shake_once(PGconn *db, unsigned *seed)
{
    const char *id = test_format("1 + floor(random() * awa.newest_id())::bigint");

    switch (rand_r(seed) % 12) {
    case 0:
    case 1:
        test_exec(db, test_format("SELECT awa.insert_jobs(array_fill('k%d'::text, '{3}'),"
                                  " p_queues => '{q0,q1,q2}', p_priorities => '{1,2,2}',"
                                  " p_tags => '{\"[\\\"t%d\\\"]\",NULL,NULL}', p_delays =>"
                                  " '{NULL,NULL,%d h}')",
                                  rand_r(seed) % 3, rand_r(seed) % 2, rand_r(seed) % 2));
        break;
    case 2:
        test_exec(db, "BEGIN; SELECT awa.insert_job('k0', p_queue => 'q0'); ROLLBACK");
        break;
    case 3:
    case 4:
    case 5:
    case 6:
        claim_some(db, seed);
        break;
    case 7:
        test_exec(db, test_format("SELECT awa.cancel_job(%s)", id));
        break;
    case 8:
    case 9:
        test_exec(db, test_format("SELECT awa.retry_job(%s)", id));
        break;
    case 10:
        test_exec(db, "SELECT awa.promote_jobs(p_max => 2, p_now => now() + interval '2 h')");
        break;
    default:
        turn_some(db, seed);
    }
}

void
test_shake(PGconn *db, unsigned seed, int steps)
{
    test_exec(db, test_format("SELECT setseed(%g)", seed / 1000.0));
    test_number(db, 7);
    test_exec(db, "SET ROLE awa_owner; SELECT awa.register_worker(7, 'w', '{q0,q1,q2}'); RESET"
                  " ROLE");
    for (int i = 0; i < steps; i++)
        shake_once(db, &seed);
}
