-- SPDX-License-Identifier: MIT
-- requires: claim
-- Gaps beyond what a lane's head should carry (rule G6). A long writing transaction, with many
-- rollbacks beside it, can pile up gaps that rule G2 may not yet forget. The head keeps at most
-- max_head_gaps() of them; what is more moves to awa.lane_gaps, exactly, and are searched by the
-- leader instead of by every claim.

-- How many gaps, whatever their width.
CREATE OR REPLACE FUNCTION awa.count_gaps(p_gaps int8multirange)
RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT
RETURN (SELECT count(*) FROM unnest(p_gaps));

-- Look for late entries in the gaps that were moved aside. What is found goes back into the gaps
-- of the lane's head, where the next claim takes it; what can have no owner any more is
-- forgotten. Called by the leader about once a second. Locks: each lane's, if free.
-- Returns how many gaps are left aside.
CREATE OR REPLACE FUNCTION awa.sweep_gaps(p_now timestamptz DEFAULT clock_timestamp())
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
SET max_parallel_workers_per_gather = 0
SET enable_seqscan = off
SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_lane int;
    v_aside record;
    v_xmin xid8;
    v_late int8multirange;
    v_gone int8multirange;
    v_head awa.claims;
BEGIN
    PERFORM awa.require_read_committed('sweep'); -- rule G5
    FOR v_lane IN SELECT DISTINCT g.lane_id FROM awa.lane_gaps AS g ORDER BY g.lane_id LOOP
        CONTINUE WHEN NOT pg_try_advisory_xact_lock(awa.lock_class('lane'), v_lane);
        v_xmin := pg_snapshot_xmin(pg_current_snapshot()); -- rule G3: before the search
        FOR v_aside IN SELECT g.* FROM awa.lane_gaps AS g
                        WHERE g.lane_id = v_lane ORDER BY g.gap_id LOOP
            SELECT coalesce(range_agg(f.run), '{}') INTO v_late
              FROM unnest(v_aside.gaps) AS r
             CROSS JOIN LATERAL awa.find_runs(lower(r), upper(r), 10000) AS f;
            SELECT coalesce(range_agg(f.withdrawn), '{}') INTO v_gone
              FROM unnest(v_aside.gaps) AS r
             CROSS JOIN LATERAL awa.find_withdrawn(lower(r), upper(r)) AS f (withdrawn);
            IF NOT isempty(v_late) THEN
                v_head := awa.lane_head(v_lane);
                INSERT INTO awa.claims (claim_id, worker_id, claimed_at, cursor, gaps_old_xid,
                       lane_id, n, ready_slot, positions, gaps_young, gaps_old)
                VALUES (nextval('awa.claim_ids'), 0, p_now, v_head.cursor, v_head.gaps_old_xid,
                        v_lane, 0, awa.current_slot(), '{}', v_head.gaps_young + v_late,
                        v_head.gaps_old);
                PERFORM awa.wake_queue(l.queue) FROM awa.lanes AS l WHERE l.lane_id = v_lane;
            END IF;
            IF v_xmin >= v_aside.gaps_xid
               AND awa.width(v_late) < 10000 THEN -- rule G3: the search was complete
                DELETE FROM awa.lane_gaps AS g
                 WHERE g.lane_id = v_lane AND g.gap_id = v_aside.gap_id;
            ELSIF NOT isempty(v_late + v_gone) THEN
                UPDATE awa.lane_gaps AS g SET gaps = g.gaps - v_late - v_gone
                 WHERE g.lane_id = v_lane AND g.gap_id = v_aside.gap_id;
            END IF;
        END LOOP;
    END LOOP;
    RETURN (SELECT coalesce(sum(awa.count_gaps(g.gaps)), 0) FROM awa.lane_gaps AS g);
END
$$;
