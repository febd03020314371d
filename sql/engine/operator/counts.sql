-- SPDX-License-Identifier: MIT
-- How many jobs a queue has in each state.

-- For each queue, how many entries nobody has claimed or withdrawn. Reads no entry of a lane in which no
-- position was drawn beyond the cursor and no gap is left.
CREATE OR REPLACE FUNCTION awa.waiting_counts(p_queue text)
RETURNS TABLE (queue text, available bigint)
LANGUAGE plpgsql STABLE
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
        SELECT l.queue, count(*)
          FROM awa.lanes AS l
          LEFT JOIN LATERAL (SELECT c.cursor, awa.all_gaps(c.gaps) AS gaps
                               FROM awa.claims AS c
                              WHERE c.lane_id = l.lane_id
                              ORDER BY c.claim_id DESC
                              LIMIT 1) AS h ON true
          LEFT JOIN (SELECT a.lane_id, range_agg(a.gaps) AS gaps
                       FROM awa.lane_gaps AS a GROUP BY a.lane_id) AS a ON a.lane_id = l.lane_id
         CROSS JOIN LATERAL (
                SELECT coalesce(h.gaps, '{}') + coalesce(a.gaps, '{}')
                       + CASE WHEN awa.last_position(l) > coalesce(h.cursor, 0)
                              THEN int8multirange(int8range(
                                       coalesce(h.cursor + 1, l.lane_id::bigint << 44),
                                       awa.last_position(l) + 1))
                              ELSE '{}' END AS positions) AS u
         CROSS JOIN LATERAL awa.windows(u.positions) AS r
         CROSS JOIN LATERAL (
                SELECT 1
                  FROM awa.ready_entries AS e
                 WHERE e.pos >= lower(r) AND e.pos < upper(r) AND e.pos <@ u.positions
                   AND NOT EXISTS (SELECT 1
                                     FROM awa.ready_tombstones AS t
                                    WHERE t.ready_slot = e.ready_slot AND t.pos = e.pos
                                      AND t.pos >= lower(r) AND t.pos < upper(r))
                OFFSET 0) AS e
         WHERE p_queue IS NULL OR l.queue = p_queue
         GROUP BY l.queue;
END
$$;

-- Running and terminal jobs of each lane. While the counters are not trusted, terminal jobs are counted
-- by a scan.
CREATE OR REPLACE FUNCTION awa.claimed_counts()
RETURNS TABLE (lane_id int, running bigint, completed bigint, failed bigint, cancelled bigint)
LANGUAGE plpgsql STABLE
AS $$
#variable_conflict use_column
BEGIN
    IF (SELECT s.terminal_counters_trusted_at FROM awa.settings AS s) IS NULL THEN
        RETURN QUERY
            SELECT u.lane_id, u.running, NULL::bigint, NULL::bigint, NULL::bigint
              FROM awa.unfolded_counts() AS u
            UNION ALL
            SELECT s.lane_id, NULL, s.completed, s.failed, s.cancelled
              FROM awa.scanned_terminal() AS s;
    ELSE
        RETURN QUERY
            SELECT u.lane_id, u.running, u.completed, u.failed, u.cancelled
              FROM awa.unfolded_counts() AS u
            UNION ALL
            SELECT f.lane_id, NULL, f.completed, f.failed, f.cancelled
              FROM awa.queue_terminal_live_counts AS f;
    END IF;
END
$$;

-- Exact counts of one queue, or of each queue (p_queue NULL), in the caller's snapshot. completed, failed
-- and cancelled are jobs that are still there; the pruned_ counts are jobs of which only the number is
-- left. Waiting, deferred and dead-lettered jobs are counted one by one. Running and terminal jobs are
-- counted by batches, and by slots once they are folded. So the cost follows the backlog and the newest
-- slots, not the history.
-- Door: kept.
CREATE OR REPLACE FUNCTION awa.queue_counts(p_queue text DEFAULT NULL)
RETURNS TABLE (queue text, available bigint, scheduled bigint, retryable bigint, running bigint,
               waiting_external bigint, completed bigint, failed bigint, cancelled bigint,
               dead_lettered bigint, pruned_completed bigint, pruned_failed bigint,
               pruned_cancelled bigint)
LANGUAGE plpgsql STABLE
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
        SELECT n.queue, coalesce(sum(n.available), 0)::bigint,
               coalesce(sum(n.scheduled), 0)::bigint, coalesce(sum(n.retryable), 0)::bigint,
               coalesce(sum(n.running), 0)::bigint, 0::bigint,
               coalesce(sum(n.completed), 0)::bigint, coalesce(sum(n.failed), 0)::bigint,
               coalesce(sum(n.cancelled), 0)::bigint, coalesce(sum(n.dead_lettered), 0)::bigint,
               coalesce(sum(n.pruned_completed), 0)::bigint,
               coalesce(sum(n.pruned_failed), 0)::bigint,
               coalesce(sum(n.pruned_cancelled), 0)::bigint
          FROM (SELECT q.queue, NULL::bigint AS available, NULL::bigint AS scheduled,
                       NULL::bigint AS retryable, NULL::bigint AS running,
                       NULL::bigint AS completed, NULL::bigint AS failed,
                       NULL::bigint AS cancelled, NULL::bigint AS dead_lettered,
                       NULL::bigint AS pruned_completed, NULL::bigint AS pruned_failed,
                       NULL::bigint AS pruned_cancelled
                  FROM (SELECT q.queue FROM awa.queues AS q
                        UNION
                        SELECT l.queue FROM awa.lanes AS l WHERE NOT l.retired) AS q
                UNION ALL
                SELECT w.queue, w.available, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
                       NULL
                  FROM awa.waiting_counts(p_queue) AS w
                UNION ALL
                SELECT d.queue, NULL, count(*) FILTER (WHERE d.state = 'scheduled'),
                       count(*) FILTER (WHERE d.state = 'retryable'), NULL, NULL, NULL, NULL, NULL,
                       NULL, NULL, NULL
                  FROM awa.deferred_jobs AS d
                 GROUP BY d.queue
                UNION ALL
                SELECT l.queue, NULL, NULL, NULL, c.running, c.completed, c.failed, c.cancelled,
                       NULL, NULL, NULL, NULL
                  FROM awa.claimed_counts() AS c
                  JOIN awa.lanes AS l ON l.lane_id = c.lane_id
                UNION ALL
                SELECT d.queue, NULL, NULL, NULL, NULL, NULL, NULL, NULL, count(*), NULL, NULL, NULL
                  FROM awa.dlq_entries AS d
                 GROUP BY d.queue
                UNION ALL
                SELECT r.queue, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, r.completed,
                       r.failed, r.cancelled
                  FROM awa.queue_terminal_rollups AS r) AS n
         WHERE p_queue IS NULL OR n.queue = p_queue
         GROUP BY n.queue
         ORDER BY n.queue;
END
$$;

-- The gauges of each queue, at most 5 s old; see awa.measure_gauges(). They are the leader's last report.
-- They are measured now if that report is older, if a queue is not in it, or if there is none, as with
-- more than 1,000 lanes.
-- Door: lookup.
CREATE OR REPLACE FUNCTION awa.queue_counts_fast()
RETURNS TABLE (queue text, available bigint, deferred bigint, running bigint, completed bigint,
               failed bigint, cancelled bigint, dead_lettered bigint)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
    v_report record;
BEGIN
    SELECT b.seen_at, b.gauges INTO v_report
      FROM awa.worker_beats AS b
     WHERE b.worker_id = 0
     ORDER BY b.seen_ms DESC, b.seen_at DESC
     LIMIT 1;
    IF (clock_timestamp() - v_report.seen_at BETWEEN '0 s' AND '5 s') IS NOT TRUE
       OR EXISTS (SELECT l.queue FROM awa.lanes AS l WHERE NOT l.retired
                  EXCEPT SELECT g.queue FROM unnest(v_report.gauges) AS g) THEN
        v_report.gauges := awa.measure_gauges();
    END IF;
    RETURN QUERY SELECT g.* FROM unnest(v_report.gauges) AS g WHERE g.queue IS NOT NULL;
END
$$;
