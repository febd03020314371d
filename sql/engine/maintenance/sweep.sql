-- SPDX-License-Identifier: MIT
-- Look for late entries in the gaps beside the heads.

-- Look for late entries in the gaps beside the heads. A gap whose entry is found goes back into the
-- lane's head, where the next claim takes the entry. A gap that has no owner left is forgotten. The other
-- gaps stay; as long as their owners are open they are not looked at again, however many they are. Called
-- by the leader. Locks: each lane's, if it is free. Returns how many gaps stay aside.
-- Door: hot.
CREATE OR REPLACE FUNCTION awa.sweep_gaps(p_now timestamptz DEFAULT clock_timestamp())
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_lane int;
BEGIN
    PERFORM awa.require_read_committed('sweep'); -- rule G5
    FOR v_lane IN SELECT DISTINCT n.lane_id FROM awa.news_aside() AS n ORDER BY n.lane_id LOOP
        IF awa.try_lane(v_lane) THEN
            PERFORM awa.sweep_lane(v_lane, p_now);
        END IF;
    END LOOP;
    RETURN (SELECT coalesce(sum(awa.count_gaps(g.gaps)), 0) FROM awa.lane_gaps AS g);
END
$$;

-- The same for one lane. The caller holds the lane's lock.
CREATE OR REPLACE FUNCTION awa.sweep_lane(p_lane int, p_now timestamptz)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_search awa.lane_search;
    v_head awa.claims;
    v_late int8multirange;
BEGIN
    WITH gone AS (
        DELETE FROM awa.lane_gaps AS g
         WHERE g.lane_id = p_lane
           AND EXISTS (SELECT 1 FROM awa.news_aside() AS n
                        WHERE n.lane_id = p_lane AND n.owners IS NOT DISTINCT FROM g.owners)
        RETURNING g.gaps, g.owners)
    SELECT awa.tidy_gaps(array_agg(ROW(g.gaps, g.owners)::awa.gap_group)) INTO v_search.gaps
      FROM gone AS g;
    v_search.n := 0;
    v_search := awa.search_gaps(v_search, p_lane, 10000, 9223372036854775807);
    SELECT range_agg(r) INTO v_late FROM unnest(v_search.runs) AS r;
    IF v_late IS NOT NULL THEN
        v_head := awa.lane_head(p_lane);
        v_head.claimed_at := p_now;
        v_head.gaps := awa.with_gaps(v_head.gaps, v_late);
        v_head.gaps_searched_at := NULL;
        PERFORM awa.write_head(v_head, nextval('awa.claim_ids'));
        PERFORM awa.wake_queue(l.queue) FROM awa.lanes AS l WHERE l.lane_id = p_lane;
    END IF;
    INSERT INTO awa.lane_gaps (lane_id, gaps, owners)
    SELECT p_lane, g.gaps, g.owners FROM unnest(v_search.gaps) AS g;
END
$$;
