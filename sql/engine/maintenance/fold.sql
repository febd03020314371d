-- SPDX-License-Identifier: MIT
-- Terminal history is counted without a scan. docs/engine.md section "Counts".
--
-- Two things count: a closure with a terminal outcome has its number of jobs, and a delta stands for jobs
-- that no closure stands for. For sealed slots, the leader folds both into rows of
-- queue_terminal_live_counts. Each of these rows has a cover: a set of positions of which every closure
-- of the slot is included, and in which no closure will ever be added. Prune counts the facts of a slot,
-- adds them to queue_terminal_rollups and truncates all three. Nothing is ever updated or deleted in a
-- slot, so every snapshot sees counts that fit its jobs.

-- ---- Counting ------------------------------------------------------------------------------

-- For each slot: the positions outside all covers, and the transaction id from which on its deltas are
-- not folded yet.
CREATE OR REPLACE FUNCTION awa.unfolded_slots()
RETURNS TABLE (ready_slot smallint, outside int8multirange, deltas_xid xid8)
LANGUAGE plpgsql STABLE
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
        SELECT s.slot::smallint, '{(,)}'::int8multirange - coalesce(c.cover, '{}'),
               coalesce(c.deltas_xid, '0')
          FROM generate_series(0, awa.slots() - 1) AS s (slot)
          LEFT JOIN (SELECT c.ready_slot, range_agg(c.cover) AS cover,
                            max(c.deltas_xid) AS deltas_xid
                       FROM awa.queue_terminal_live_counts AS c
                      GROUP BY c.ready_slot) AS c ON c.ready_slot = s.slot;
END
$$;

-- What is not folded yet, by slot and lane: terminal jobs, and how many positions are claimed and not
-- closed. A slot of which nothing is folded is read from end to end; of the others only what no cover
-- includes is read. (A slot without a cover may still have folded deltas: those of lanes that nobody has
-- claimed from.)
CREATE OR REPLACE FUNCTION awa.unfolded_counts()
RETURNS TABLE (ready_slot smallint, lane_id int, completed bigint, failed bigint, cancelled bigint,
               running bigint)
LANGUAGE plpgsql STABLE
SET enable_seqscan = on
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    v_whole smallint[];
    v_slots smallint[];
    v_outside int8multirange[];
    v_xids xid8[];
BEGIN
    SELECT array_agg(u.ready_slot) FILTER (WHERE u.whole),
           array_agg(u.ready_slot) FILTER (WHERE NOT u.whole),
           array_agg(u.outside) FILTER (WHERE NOT u.whole),
           array_agg(u.deltas_xid) FILTER (WHERE NOT u.whole)
      INTO v_whole, v_slots, v_outside, v_xids
      FROM (SELECT u.*, u.outside = '{(,)}' AND u.deltas_xid = '0' AS whole
              FROM awa.unfolded_slots() AS u) AS u;
    -- Slot by slot: = ANY (v_whole) would read the others as well.
    RETURN QUERY
        SELECT w.slot, k.lane_id, k.completed, k.failed, k.cancelled, -k.closed
          FROM unnest(v_whole) AS w (slot)
         CROSS JOIN LATERAL (
                SELECT k.lane_id,
                       sum(k.n) FILTER (WHERE k.outcome = 'completed')::bigint AS completed,
                       sum(k.n) FILTER (WHERE k.outcome = 'failed')::bigint AS failed,
                       sum(k.n) FILTER (WHERE k.outcome = 'cancelled')::bigint AS cancelled,
                       sum(k.n) FILTER (WHERE k.outcome <> 'removed')::bigint AS closed
                  FROM awa.closures AS k
                 WHERE k.ready_slot = w.slot
                 GROUP BY k.lane_id) AS k
        UNION ALL
        SELECT w.slot, c.lane_id, NULL, NULL, NULL, c.n
          FROM unnest(v_whole) AS w (slot)
         CROSS JOIN LATERAL (
                SELECT c.lane_id, sum(c.n)::bigint AS n
                  FROM awa.claims AS c
                 WHERE c.ready_slot = w.slot
                 GROUP BY c.lane_id) AS c
        UNION ALL
        SELECT w.slot, d.lane_id, d.completed, d.failed, d.cancelled, NULL
          FROM unnest(v_whole) AS w (slot)
         CROSS JOIN LATERAL (
                SELECT d.lane_id, sum(d.completed)::bigint AS completed,
                       sum(d.failed)::bigint AS failed, sum(d.cancelled)::bigint AS cancelled
                  FROM awa.queue_terminal_count_deltas AS d
                 WHERE d.ready_slot = w.slot
                 GROUP BY d.lane_id) AS d;
    RETURN QUERY SELECT f.* FROM awa.unfolded_rest(v_slots, v_outside, v_xids) AS f;
END
$$;

-- The same for slots of which something is folded. It uses index scans only, so it does not meet what is
-- covered.
CREATE OR REPLACE FUNCTION awa.unfolded_rest(p_slots smallint[], p_outside int8multirange[],
        p_xids xid8[])
RETURNS TABLE (ready_slot smallint, lane_id int, completed bigint, failed bigint, cancelled bigint,
               running bigint)
LANGUAGE plpgsql STABLE
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
        SELECT k.ready_slot, k.lane_id,
               sum(k.n) FILTER (WHERE k.outcome = 'completed')::bigint,
               sum(k.n) FILTER (WHERE k.outcome = 'failed')::bigint,
               sum(k.n) FILTER (WHERE k.outcome = 'cancelled')::bigint,
               -sum(k.n) FILTER (WHERE k.outcome <> 'removed')::bigint
          FROM unnest(p_slots, p_outside) AS s (slot, outside)
         CROSS JOIN LATERAL awa.touched_closures(s.slot, s.outside) AS k
         GROUP BY k.ready_slot, k.lane_id
        UNION ALL
        SELECT s.slot, c.lane_id, NULL, NULL, NULL, c.n
          FROM unnest(p_slots, p_outside) AS s (slot, outside)
         CROSS JOIN LATERAL (
                SELECT c.lane_id, awa.width(range_agg(c.positions) * s.outside) AS n
                  FROM awa.claims_near(s.slot, s.outside) AS c
                 GROUP BY c.lane_id) AS c
        UNION ALL
        SELECT d.ready_slot, d.lane_id, sum(d.completed), sum(d.failed), sum(d.cancelled), NULL
          FROM generate_subscripts(p_slots, 1) AS i
         CROSS JOIN LATERAL (
                SELECT d.*
                  FROM awa.queue_terminal_count_deltas AS d
                 WHERE d.ready_slot = p_slots[i] AND d.xid >= p_xids[i]
                OFFSET 0) AS d
         GROUP BY d.ready_slot, d.lane_id;
END
$$;

-- Terminal jobs by slot and lane, as the counters have them.
CREATE OR REPLACE FUNCTION awa.counted_terminal()
RETURNS TABLE (ready_slot smallint, lane_id int, completed bigint, failed bigint, cancelled bigint)
LANGUAGE plpgsql STABLE
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
        SELECT c.ready_slot, c.lane_id, sum(c.completed)::bigint, sum(c.failed)::bigint,
               sum(c.cancelled)::bigint
          FROM (SELECT u.ready_slot, u.lane_id, u.completed, u.failed, u.cancelled
                  FROM awa.unfolded_counts() AS u
                UNION ALL
                SELECT f.ready_slot, f.lane_id, f.completed, f.failed, f.cancelled
                  FROM awa.queue_terminal_live_counts AS f) AS c
         GROUP BY c.ready_slot, c.lane_id;
END
$$;

-- The same from the facts, of p_slot or of all slots (NULL): closures, without those that a tombstone
-- took back, and tombstones with the reason cancelled, without those that a closure took back. The cost
-- follows the history.
CREATE OR REPLACE FUNCTION awa.scanned_terminal(p_slot smallint DEFAULT NULL)
RETURNS TABLE (ready_slot smallint, lane_id int, completed bigint, failed bigint, cancelled bigint)
LANGUAGE plpgsql STABLE
SET enable_seqscan = on
SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
        SELECT s.ready_slot, s.lane_id,
               coalesce(sum(s.n) FILTER (WHERE s.outcome = 'completed'), 0)::bigint,
               coalesce(sum(s.n) FILTER (WHERE s.outcome = 'failed'), 0)::bigint,
               coalesce(sum(s.n) FILTER (WHERE s.outcome = 'cancelled'), 0)::bigint
          FROM (SELECT k.ready_slot, k.lane_id, k.outcome, sum(k.n) AS n
                  FROM awa.closures AS k
                 WHERE p_slot IS NULL OR k.ready_slot = p_slot
                 GROUP BY k.ready_slot, k.lane_id, k.outcome
                UNION ALL
                SELECT t.ready_slot, (t.pos >> 44)::int, coalesce(k.outcome, 'cancelled'),
                       CASE WHEN k.outcome IS NULL THEN count(*) ELSE -count(*) END
                  FROM awa.ready_tombstones AS t
                  LEFT JOIN LATERAL (SELECT k.outcome
                                       FROM awa.closures AS k
                                      WHERE k.ready_slot = t.ready_slot AND k.positions @> t.pos
                                      LIMIT 1) AS k ON true
                 WHERE (p_slot IS NULL OR t.ready_slot = p_slot)
                   AND (k.outcome IS NOT NULL OR t.reason = 'cancelled')
                 GROUP BY t.ready_slot, t.pos >> 44, k.outcome) AS s
         GROUP BY s.ready_slot, s.lane_id;
END
$$;

-- ---- Folding -------------------------------------------------------------------------------

-- The positions of a sealed slot that are final, for each lane that has closures in it: they are below
-- the lane's cursor, in no gap, and not running. No closure will be added to the slot within them:
-- - an entry that becomes visible later lies above the cursor or in a gap (rules G1 to G3);
-- - an entry that was claimed is closed, or it is open and left out;
-- - what is carried goes to the current slot, and no carry runs while this is decided.
-- This is one statement, because a gap can move between a lane's head and awa.lane_gaps.
CREATE OR REPLACE FUNCTION awa.final_positions(p_slot smallint)
RETURNS TABLE (lane_id int, cover int8multirange)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
        SELECT l.lane_id,
               int8multirange(int8range(l.lane_id::bigint << 44, h.cursor + 1))
               - h.gaps - coalesce(a.gaps, '{}') - (coalesce(c.positions, '{}')
                                                    - coalesce(k.positions, '{}'))
          FROM (SELECT DISTINCT k.lane_id FROM awa.closures AS k WHERE k.ready_slot = p_slot) AS l
         CROSS JOIN LATERAL (SELECT c.cursor, awa.all_gaps(c.gaps) AS gaps
                               FROM awa.claims AS c
                              WHERE c.lane_id = l.lane_id
                              ORDER BY c.claim_id DESC
                              LIMIT 1) AS h
          LEFT JOIN (SELECT a.lane_id, range_agg(a.gaps) AS gaps
                       FROM awa.lane_gaps AS a GROUP BY a.lane_id) AS a ON a.lane_id = l.lane_id
          LEFT JOIN (SELECT c.lane_id, range_agg(c.positions) AS positions
                       FROM awa.claims AS c
                      WHERE c.ready_slot = p_slot
                      GROUP BY c.lane_id) AS c ON c.lane_id = l.lane_id
          LEFT JOIN (SELECT k.lane_id, range_agg(k.positions) AS positions
                       FROM awa.closures AS k
                      WHERE k.ready_slot = p_slot
                      GROUP BY k.lane_id) AS k ON k.lane_id = l.lane_id;
END
$$;

-- Fold what is not folded yet of a sealed slot. The caller holds the maintenance lock alone. The covers
-- are read first, and the counts by later statements: nothing is added within a cover. Deltas are folded
-- up to the oldest transaction that may still run, because all older ones have ended.
CREATE OR REPLACE FUNCTION awa.fold_slot(p_slot smallint)
RETURNS void
LANGUAGE plpgsql
SET enable_seqscan = on
AS $$
DECLARE
    v_xmin xid8 := pg_snapshot_xmin(pg_current_snapshot());
    v_outside int8multirange;
    v_xid xid8;
    v_lanes int[];
    v_covers int8multirange[];
    v_cover int8multirange;
BEGIN
    SELECT array_agg(s.lane_id), array_agg(s.cover), coalesce(range_agg(s.cover), '{}')
      INTO v_lanes, v_covers, v_cover
      FROM awa.final_positions(p_slot) AS s;
    SELECT u.outside, u.deltas_xid INTO v_outside, v_xid
      FROM awa.unfolded_slots() AS u WHERE u.ready_slot = p_slot;
    INSERT INTO awa.queue_terminal_live_counts (completed, failed, cancelled, deltas_xid, lane_id,
           priority, enqueue_shard, ready_slot, queue, cover)
    SELECT t.completed, t.failed, t.cancelled, greatest(v_xmin, v_xid), l.lane_id, l.priority,
           l.enqueue_shard, p_slot, l.queue, coalesce(c.cover * v_outside, '{}')
      FROM (SELECT t.lane_id, coalesce(sum(t.completed), 0) AS completed,
                   coalesce(sum(t.failed), 0) AS failed, coalesce(sum(t.cancelled), 0) AS cancelled
              FROM (SELECT k.lane_id, k.n * (k.outcome = 'completed')::int AS completed,
                           k.n * (k.outcome = 'failed')::int AS failed,
                           k.n * (k.outcome = 'cancelled')::int AS cancelled
                      FROM awa.touched_closures(p_slot, v_outside) AS k
                     WHERE awa.is_within(k.positions, v_cover)
                    UNION ALL
                    SELECT d.lane_id, d.completed, d.failed, d.cancelled
                      FROM awa.queue_terminal_count_deltas AS d
                     WHERE d.ready_slot = p_slot AND d.xid >= v_xid AND d.xid < v_xmin) AS t
             GROUP BY t.lane_id) AS t
      JOIN awa.lanes AS l ON l.lane_id = t.lane_id
      LEFT JOIN unnest(v_lanes, v_covers) AS c (lane_id, cover) ON c.lane_id = l.lane_id
     ORDER BY l.queue, l.priority, l.enqueue_shard, l.lane_id;
    IF NOT FOUND THEN -- a row without counts tells awa.fold_slots() that it was tried
        INSERT INTO awa.queue_terminal_live_counts (completed, failed, cancelled, deltas_xid,
               lane_id, priority, enqueue_shard, ready_slot, queue, cover)
        SELECT 0, 0, 0, v_xid, l.lane_id, l.priority, l.enqueue_shard, p_slot, l.queue, '{}'
          FROM awa.lanes AS l ORDER BY l.lane_id LIMIT 1;
    END IF;
END
$$;

-- Fold the sealed slots in which something is not folded: the first time at once, then at most once a
-- minute each. Called by the leader, in a transaction that holds the maintenance lock alone. A fold only
-- adds rows, so it leaves nothing dead behind and need not wait for old snapshots.
CREATE OR REPLACE FUNCTION awa.fold_slots(p_now timestamptz)
RETURNS void
LANGUAGE plpgsql
SET enable_seqscan = off
AS $$
DECLARE
    v_slot record;
BEGIN
    FOR v_slot IN
        SELECT u.*, (SELECT max(c.folded_at) FROM awa.queue_terminal_live_counts AS c
                      WHERE c.ready_slot = u.ready_slot) AS folded_at
          FROM awa.unfolded_slots() AS u
         WHERE u.ready_slot <> awa.current_slot()
         ORDER BY u.ready_slot
    LOOP
        IF (v_slot.folded_at > p_now - interval '1 min') IS NOT TRUE
           AND (EXISTS (SELECT 1 FROM awa.touched_closures(v_slot.ready_slot, v_slot.outside) AS k
                         WHERE k.outcome <> 'removed')
                OR EXISTS (SELECT 1 FROM awa.queue_terminal_count_deltas AS d
                            WHERE d.ready_slot = v_slot.ready_slot
                              AND d.xid >= v_slot.deltas_xid)) THEN
            PERFORM awa.fold_slot(v_slot.ready_slot);
        END IF;
    END LOOP;
END
$$;

-- Add the facts of a slot that is about to be truncated to the counts of what was pruned before: from a
-- scan, never from a counter that could have drifted. Rows are written in key order, as by every
-- transaction that writes several.
CREATE OR REPLACE FUNCTION awa.roll_up(p_slot smallint)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO awa.queue_terminal_rollups AS r (queue, priority, enqueue_shard, completed, failed,
           cancelled)
    SELECT l.queue, l.priority, l.enqueue_shard, sum(s.completed), sum(s.failed), sum(s.cancelled)
      FROM awa.scanned_terminal(p_slot) AS s
      JOIN awa.lanes AS l ON l.lane_id = s.lane_id
     GROUP BY l.queue, l.priority, l.enqueue_shard
    HAVING sum(s.completed) + sum(s.failed) + sum(s.cancelled) > 0
     ORDER BY l.queue, l.priority, l.enqueue_shard
        ON CONFLICT (queue, priority, enqueue_shard) DO UPDATE
       SET completed = r.completed + excluded.completed, failed = r.failed + excluded.failed,
           cancelled = r.cancelled + excluded.cancelled;
END
$$;

-- Compare the counters with the facts. Unless p_check, add the difference to the counters, and trust them
-- from now on. Both are read in one snapshot, and only the difference is added, so writers go on
-- meanwhile. Waits for another transaction that rebuilds or checks. Returns one row for each queue.
-- Door: plain.
CREATE OR REPLACE FUNCTION awa.rebuild_terminal_counters(p_check boolean DEFAULT false)
RETURNS TABLE (queue text, counted bigint, found bigint, corrected bigint)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
BEGIN
    PERFORM awa.require_read_committed('rebuild');
    PERFORM awa.take_lock('rebuild');
    RETURN QUERY
        WITH difference AS MATERIALIZED (
            SELECT d.ready_slot, d.lane_id, sum(d.sign * d.completed)::bigint AS completed,
                   sum(d.sign * d.failed)::bigint AS failed,
                   sum(d.sign * d.cancelled)::bigint AS cancelled,
                   sum(d.completed + d.failed + d.cancelled) FILTER (WHERE d.sign < 0) AS counted,
                   sum(d.completed + d.failed + d.cancelled) FILTER (WHERE d.sign > 0) AS found
              FROM (SELECT 1 AS sign, s.* FROM awa.scanned_terminal() AS s
                    UNION ALL
                    SELECT -1, c.ready_slot, c.lane_id, coalesce(c.completed, 0),
                           coalesce(c.failed, 0), coalesce(c.cancelled, 0)
                      FROM awa.counted_terminal() AS c) AS d
             GROUP BY d.ready_slot, d.lane_id),
        added AS (
            INSERT INTO awa.queue_terminal_live_counts (completed, failed, cancelled, deltas_xid,
                   lane_id, priority, enqueue_shard, ready_slot, queue, cover)
            SELECT d.completed, d.failed, d.cancelled, '0', l.lane_id, l.priority,
                   l.enqueue_shard, d.ready_slot, l.queue, '{}'
              FROM difference AS d
              JOIN awa.lanes AS l ON l.lane_id = d.lane_id
             WHERE NOT p_check AND (d.completed <> 0 OR d.failed <> 0 OR d.cancelled <> 0))
        SELECT l.queue, coalesce(sum(d.counted), 0)::bigint, coalesce(sum(d.found), 0)::bigint,
               sum(abs(d.completed) + abs(d.failed) + abs(d.cancelled))::bigint
          FROM difference AS d
          JOIN awa.lanes AS l ON l.lane_id = d.lane_id
         GROUP BY l.queue
         ORDER BY l.queue;
    IF NOT p_check THEN
        UPDATE awa.settings SET terminal_counters_trusted_at = clock_timestamp();
    END IF;
END
$$;
