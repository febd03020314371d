-- SPDX-License-Identifier: MIT
-- The head of a lane is its newest claim: the row has the cursor and the gaps.

-- The head of a lane. The caller holds the lane's lock, and this statement began after the lock was
-- obtained: an older snapshot would hand out jobs twice. A lane without a claim has a cursor before its
-- first position.
CREATE OR REPLACE FUNCTION awa.lane_head(p_lane int)
RETURNS awa.claims
LANGUAGE plpgsql
AS $$
DECLARE
    v_head awa.claims;
BEGIN
    SELECT c.* INTO v_head
      FROM awa.claims AS c
     WHERE c.lane_id = p_lane
     ORDER BY c.claim_id DESC
     LIMIT 1;
    IF NOT FOUND THEN
        v_head.lane_id := p_lane;
        v_head.cursor := (p_lane::bigint << 44) - 1;
    END IF;
    RETURN v_head;
END
$$;

-- Write a head that claims nothing: p_head as it is, under the claim id p_claim.
CREATE OR REPLACE FUNCTION awa.write_head(p_head awa.claims, p_claim bigint)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO awa.claims (claim_id, worker_id, claimed_at, cursor, gaps_searched_at, lane_id, n,
           ready_slot, positions, gaps)
    VALUES (p_claim, 0, coalesce((p_head).claimed_at, clock_timestamp()), (p_head).cursor,
            (p_head).gaps_searched_at, (p_head).lane_id, 0, awa.current_slot(), '{}',
            (p_head).gaps);
END
$$;

-- The positions of a lane that nobody has claimed: its gaps, and all that lie above its cursor.
CREATE OR REPLACE FUNCTION awa.unclaimed(p_lane int)
RETURNS int8multirange
LANGUAGE plpgsql
AS $$
DECLARE
    v_head awa.claims := awa.lane_head(p_lane);
BEGIN
    RETURN awa.all_gaps(v_head.gaps)
           + coalesce((SELECT range_agg(g.gaps) FROM awa.lane_gaps AS g WHERE g.lane_id = p_lane),
                      '{}')
           + coalesce((SELECT int8multirange(int8range(v_head.cursor + 1, awa.last_position(l) + 1))
                         FROM awa.lanes AS l
                        WHERE l.lane_id = p_lane AND awa.last_position(l) > v_head.cursor), '{}');
END
$$;

-- ---- Is there work -------------------------------------------------------------------------

-- Whether a claim could find something: positions beyond the cursor were drawn, for this lane or for
-- another one that shares its sequence, or there is news of a gap. Reads no entry.
CREATE OR REPLACE FUNCTION awa.head_may_have_work(p_lane awa.lanes, p_head awa.claims)
RETURNS boolean
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN awa.last_position(p_lane) > (p_head).cursor OR awa.gaps_have_news((p_head).gaps);
END
$$;

CREATE OR REPLACE FUNCTION awa.lane_may_have_work(p_lane awa.lanes)
RETURNS boolean
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN awa.head_may_have_work(p_lane, awa.lane_head((p_lane).lane_id));
END
$$;

-- Whether a lane has an entry above its cursor, or news of a gap.
CREATE OR REPLACE FUNCTION awa.lane_has_work(p_lane awa.lanes)
RETURNS boolean
LANGUAGE plpgsql
AS $$
DECLARE
    v_head awa.claims := awa.lane_head((p_lane).lane_id);
    v_last CONSTANT bigint := awa.last_position(p_lane);
BEGIN
    IF v_last <= v_head.cursor THEN -- the usual case; this branch reads no table
        RETURN awa.gaps_have_news(v_head.gaps);
    END IF;
    RETURN awa.gaps_have_news(v_head.gaps)
           OR EXISTS (SELECT 1 FROM awa.ready_entries AS e
                       WHERE e.pos > v_head.cursor AND e.pos <= v_last);
END
$$;

CREATE OR REPLACE FUNCTION awa.queue_has_work(p_queue text)
RETURNS boolean
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN EXISTS (SELECT 1 FROM awa.lanes AS l
                    WHERE l.queue = p_queue AND NOT l.retired AND awa.lane_has_work(l));
END
$$;
