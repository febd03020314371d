-- SPDX-License-Identifier: MIT
-- Empty everything.

-- Forget every job, waiting, running or ended, with all counts. What workers still run is stale from now
-- on. Settings, queues and workers stay. p_database must be the name of this database, so that nobody
-- empties another one by mistake. Locks everything. Waits for half a second at most for open transactions
-- of producers and others; then it raises JQ006 and has changed nothing.
-- Positions go on where they are, because a producer may have drawn some that it has not written yet. All
-- lower positions are a gap, aside from the lane's head, until those transactions have ended and
-- awa.sweep_gaps() has looked; the leader does that within a second.
-- Door: plain.
CREATE OR REPLACE FUNCTION awa.reset_storage(p_database text)
RETURNS void
LANGUAGE plpgsql
SET lock_timeout = '500ms'
AS $$
DECLARE
    v_tables text;
    v_lanes int[];
    v_cursors bigint[];
BEGIN
    PERFORM awa.require_read_committed('reset');
    IF p_database IS DISTINCT FROM current_database() THEN
        RAISE EXCEPTION 'database: this is %, not %', current_database(),
              coalesce(p_database, 'NULL') USING ERRCODE = 'JQ001';
    END IF;
    PERFORM awa.take_lock('maintenance');
    PERFORM awa.enter_history();
    PERFORM 1 FROM (SELECT l.lane_id FROM awa.lanes AS l ORDER BY l.lane_id FOR UPDATE) AS l;
    SELECT array_agg(l.lane_id), array_agg(awa.last_position(l)) INTO v_lanes, v_cursors
      FROM awa.lanes AS l;

    SELECT string_agg(format('awa.%I', t), ', ') INTO v_tables
      FROM unnest(awa.ringed_tables() || ARRAY['lane_gaps', 'deferred_jobs', 'unique_keys',
                  'queue_terminal_rollups', 'dlq_entries', 'ring_carries', 'undecided_jobs']) AS t;
    EXECUTE 'TRUNCATE ' || v_tables;

    INSERT INTO awa.claims (claim_id, worker_id, claimed_at, cursor, lane_id, n, ready_slot,
           positions)
    SELECT nextval('awa.claim_ids'), 0, clock_timestamp(), l.cursor, l.lane_id, 0,
           awa.current_slot(), '{}'
      FROM unnest(v_lanes, v_cursors) AS l (lane_id, cursor);
    INSERT INTO awa.lane_gaps (lane_id, gaps) -- the sweep asks who may own them
    SELECT l.lane_id, int8multirange(int8range(l.lane_id::bigint << 44, l.cursor + 1))
      FROM unnest(v_lanes, v_cursors) AS l (lane_id, cursor);
    UPDATE awa.settings SET terminal_counters_trusted_at = clock_timestamp();
    PERFORM awa.report_gauges();
EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
    RAISE EXCEPTION 'reset: somebody is using the queue' USING ERRCODE = 'JQ006',
          HINT = 'Stop workers and producers, or try again.';
END
$$;
