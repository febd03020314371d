-- SPDX-License-Identifier: MIT
-- requires: settings
-- How many jobs a queue has in each state.

-- Exact counts of one queue, or of each (p_queue NULL), in the caller's snapshot. Nothing that has
-- passed through is looked at one by one: what ran is counted by claims and closures, a row per
-- batch; what waits, by the entries that lie outside all claims. A terminal entry that was taken
-- back (a tombstone on a closure, see awa.ready_jobs) does not count.
CREATE OR REPLACE FUNCTION awa.queue_counts(p_queue text DEFAULT NULL)
RETURNS TABLE (queue text, available bigint, scheduled bigint, retryable bigint, running bigint,
               waiting_external bigint, completed bigint, failed bigint, cancelled bigint)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
SET max_parallel_workers_per_gather = 0
AS $$
    WITH lane AS (
        SELECT l.lane_id, l.queue FROM awa.lanes AS l WHERE p_queue IS NULL OR l.queue = p_queue),
    unclaimed AS (
        SELECT l.lane_id,
               coalesce(h.gaps, '{}') + coalesce(g.gaps, '{}')
               + int8multirange(int8range(coalesce(h.cursor + 1, l.lane_id::bigint << 44),
                                          (l.lane_id::bigint + 1) << 44)) AS positions
          FROM lane AS l
          LEFT JOIN LATERAL (SELECT c.cursor, c.gaps_young + c.gaps_old AS gaps
                               FROM awa.claims AS c
                              WHERE c.lane_id = l.lane_id
                              ORDER BY c.claim_id DESC
                              LIMIT 1) AS h ON true
          LEFT JOIN LATERAL (SELECT range_agg(g.gaps) AS gaps
                               FROM awa.lane_gaps AS g
                              WHERE g.lane_id = l.lane_id) AS g ON true),
    waiting AS (
        SELECT u.lane_id, count(*) AS n
          FROM unclaimed AS u
         CROSS JOIN LATERAL unnest(u.positions) AS r
         CROSS JOIN LATERAL (
                SELECT 1
                  FROM awa.ready_entries AS e
                 WHERE e.pos >= lower(r) AND e.pos < upper(r)
                   AND NOT EXISTS (SELECT 1
                                     FROM awa.ready_tombstones AS t
                                    WHERE t.ready_slot = e.ready_slot AND t.pos = e.pos)
                OFFSET 0) AS e
         GROUP BY u.lane_id),
    held AS (
        SELECT c.ready_slot, c.lane_id, range_agg(c.positions) AS positions
          FROM awa.claims AS c
         WHERE c.n > 0
         GROUP BY c.ready_slot, c.lane_id),
    ended AS (
        SELECT k.ready_slot, k.lane_id, range_agg(k.positions) AS positions,
               sum(k.n) FILTER (WHERE k.outcome = 'completed') AS completed,
               sum(k.n) FILTER (WHERE k.outcome = 'failed') AS failed,
               sum(k.n) FILTER (WHERE k.outcome = 'cancelled') AS cancelled
          FROM awa.closures AS k
         GROUP BY k.ready_slot, k.lane_id),
    ran AS (
        SELECT coalesce(h.lane_id, d.lane_id) AS lane_id,
               awa.width(coalesce(h.positions - coalesce(d.positions, '{}'), '{}')) AS running,
               d.completed, d.failed, d.cancelled
          FROM held AS h
          FULL JOIN ended AS d ON d.ready_slot = h.ready_slot AND d.lane_id = h.lane_id),
    withdrawn AS (
        SELECT (t.pos >> 44)::int AS lane_id,
               count(*) FILTER (WHERE k.outcome = 'completed') AS completed,
               count(*) FILTER (WHERE k.outcome = 'failed') AS failed,
               count(*) FILTER (WHERE k.outcome = 'cancelled')
               - count(*) FILTER (WHERE k.outcome IS NULL AND t.reason = 'cancelled') AS cancelled
          FROM awa.ready_tombstones AS t
          LEFT JOIN LATERAL (SELECT k.outcome
                               FROM awa.closures AS k
                              WHERE k.ready_slot = t.ready_slot AND k.positions @> t.pos
                              LIMIT 1) AS k ON true
         GROUP BY 1)
    SELECT n.queue, sum(n.available)::bigint, sum(n.scheduled)::bigint, sum(n.retryable)::bigint,
           sum(n.running)::bigint, 0::bigint, sum(n.completed)::bigint, sum(n.failed)::bigint,
           sum(n.cancelled)::bigint
      FROM (SELECT l.queue, coalesce(w.n, 0) AS available, 0 AS scheduled, 0 AS retryable,
                   coalesce(r.running, 0) AS running,
                   coalesce(r.completed, 0) - coalesce(x.completed, 0) AS completed,
                   coalesce(r.failed, 0) - coalesce(x.failed, 0) AS failed,
                   coalesce(r.cancelled, 0) - coalesce(x.cancelled, 0) AS cancelled
              FROM lane AS l
              LEFT JOIN waiting AS w ON w.lane_id = l.lane_id
              LEFT JOIN (SELECT r.lane_id, sum(r.running) AS running, sum(r.completed) AS completed,
                                sum(r.failed) AS failed, sum(r.cancelled) AS cancelled
                           FROM ran AS r GROUP BY r.lane_id) AS r ON r.lane_id = l.lane_id
              LEFT JOIN withdrawn AS x ON x.lane_id = l.lane_id
            UNION ALL
            SELECT d.queue, 0, count(*) FILTER (WHERE d.state = 'scheduled'),
                   count(*) FILTER (WHERE d.state = 'retryable'), 0, 0, 0, 0
              FROM awa.deferred_jobs AS d
             WHERE p_queue IS NULL OR d.queue = p_queue
             GROUP BY d.queue
            UNION ALL
            SELECT q.queue, 0, 0, 0, 0, 0, 0, 0
              FROM awa.queues AS q
             WHERE p_queue IS NULL OR q.queue = p_queue) AS n
     GROUP BY n.queue
     ORDER BY n.queue
$$;
