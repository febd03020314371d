-- SPDX-License-Identifier: MIT
-- Gauges: counts whose cost depends only on the number of lanes and workers.

-- Measure the gauges of all queues.
-- - available: an upper bound; positions that were drawn and not claimed, among them withdrawn and
--   uncommitted ones, and where lanes share a sequence, those of others;
-- - deferred, dead_lettered: exact up to 1,000 in all queues together, else lower bounds;
-- - running: what workers held at their last heartbeat, if they said so;
-- - completed, failed, cancelled: of pruned and folded slots; a lower bound unless failed jobs are
--   taken back faster than they are folded.
CREATE OR REPLACE FUNCTION awa.measure_gauges()
RETURNS awa.gauge[]
LANGUAGE plpgsql
SET enable_seqscan = off
SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    RETURN (
        SELECT coalesce(array_agg(ROW(g.queue, g.available, g.deferred, g.running, g.completed,
                                      g.failed, g.cancelled, g.dead_lettered)::awa.gauge
                                  ORDER BY g.queue), '{}')
          FROM (SELECT n.queue, coalesce(sum(n.n) FILTER (WHERE n.what = 'available'), 0)::bigint
                       AS available,
                       coalesce(sum(n.n) FILTER (WHERE n.what = 'deferred'), 0)::bigint AS deferred,
                       coalesce(sum(n.n) FILTER (WHERE n.what = 'running'), 0)::bigint AS running,
                       coalesce(sum(n.n) FILTER (WHERE n.what = 'completed'), 0)::bigint
                       AS completed,
                       coalesce(sum(n.n) FILTER (WHERE n.what = 'failed'), 0)::bigint AS failed,
                       coalesce(sum(n.n) FILTER (WHERE n.what = 'cancelled'), 0)::bigint
                       AS cancelled,
                       coalesce(sum(n.n) FILTER (WHERE n.what = 'dead'), 0)::bigint
                       AS dead_lettered
                  FROM awa.gauge_parts() AS n
                 GROUP BY n.queue) AS g);
END
$$;

-- The numbers that make up the gauges of a queue.
CREATE OR REPLACE FUNCTION awa.gauge_parts()
RETURNS TABLE (queue text, what text, n bigint)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
        SELECT q.queue, NULL::text, NULL::bigint FROM awa.queues AS q
        UNION ALL
        SELECT l.queue, 'available',
               greatest(0, awa.last_position(l) - coalesce(h.cursor, (l.lane_id::bigint << 44) - 1))
               + awa.width(awa.all_gaps(h.gaps))
          FROM awa.lanes AS l
          LEFT JOIN LATERAL (SELECT c.cursor, c.gaps
                               FROM awa.claims AS c
                              WHERE c.lane_id = l.lane_id
                              ORDER BY c.claim_id DESC
                              LIMIT 1) AS h ON true
         WHERE NOT l.retired
        UNION ALL
        SELECT d.queue, 'deferred', count(*)
          FROM (SELECT d.queue FROM awa.deferred_jobs AS d
                 ORDER BY d.run_at, d.id LIMIT 1000) AS d
         GROUP BY d.queue
        UNION ALL
        SELECT b.queues[i], 'running', b.held[i]
          FROM awa.workers AS w
         CROSS JOIN LATERAL (SELECT b.queues, b.held
                               FROM awa.worker_beats AS b
                              WHERE b.worker_id = w.worker_id
                              ORDER BY b.seen_ms DESC
                              LIMIT 1) AS b
         CROSS JOIN LATERAL generate_subscripts(b.held, 1) AS i
         WHERE w.ended_at IS NULL AND b.held[i] > 0
        UNION ALL
        SELECT f.queue, x.what, x.n
          FROM awa.queue_terminal_live_counts AS f
         CROSS JOIN LATERAL (VALUES ('completed', f.completed), ('failed', f.failed),
                                    ('cancelled', f.cancelled)) AS x (what, n)
        UNION ALL
        SELECT r.queue, x.what, x.n
          FROM awa.queue_terminal_rollups AS r
         CROSS JOIN LATERAL (VALUES ('completed', r.completed), ('failed', r.failed),
                                    ('cancelled', r.cancelled)) AS x (what, n)
        UNION ALL
        SELECT d.queue, 'dead', count(*)
          FROM (SELECT d.queue FROM awa.dlq_entries AS d
                 ORDER BY d.dlq_at, d.id LIMIT 1000) AS d
         GROUP BY d.queue;
END
$$;

-- The leader's report of the gauges, for all readers. awa.turn_ring() calls this about once a second
-- while there is load. Makes no report if there are more than 1,000 lanes.
CREATE OR REPLACE FUNCTION awa.report_gauges()
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_now CONSTANT timestamptz := clock_timestamp();
    v_served CONSTANT bigint := awa.served_now();
BEGIN
    INSERT INTO awa.worker_beats (worker_id, seen_at, seen_ms, beat_slot, gauges)
    SELECT 0, v_now, v_served, awa.beat_slot(v_served), awa.measure_gauges()
     WHERE (SELECT count(*) FROM (SELECT 1 FROM awa.lanes LIMIT 1001) AS l) <= 1000;
END
$$;
