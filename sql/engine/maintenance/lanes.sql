-- SPDX-License-Identifier: MIT
-- Lanes that are full, or whose queue was removed, are sealed, then retired, then deleted.

-- Seal lanes that have used 90 % of their 2^44 positions; the next insert opens a successor. Before that,
-- move on lanes that were sealed earlier: a lane is retired when it has no entry and nobody may still
-- write one, and it is deleted, with what is left of its queue, when no slot has a claim of it any more.
-- Returns how many lanes were sealed.
-- Door: index.
CREATE OR REPLACE FUNCTION awa.seal_full_lanes()
RETURNS int
LANGUAGE plpgsql
AS $$
DECLARE
    v_n int;
BEGIN
    PERFORM awa.retire_lanes();
    UPDATE awa.lanes AS l SET sealed = true
     WHERE NOT l.sealed
       AND awa.last_position(l) - (l.lane_id::bigint << 44)
           > (1::bigint << 44) / 10 * 9;
    GET DIAGNOSTICS v_n = ROW_COUNT;
    RETURN v_n;
END
$$;

-- Retire lanes that were sealed earlier, and delete lanes that are retired.
CREATE OR REPLACE FUNCTION awa.retire_lanes()
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    UPDATE awa.lanes AS l SET retired = true
     WHERE l.sealed AND NOT l.retired AND awa.lane_is_bare(l.lane_id);
    WITH gone AS (
        DELETE FROM awa.lanes AS l
         WHERE l.retired
           AND NOT EXISTS (SELECT 1 FROM awa.claims AS c WHERE c.lane_id = l.lane_id)
        RETURNING l.queue)
    DELETE FROM awa.queue_terminal_rollups AS r
     USING gone AS g
     WHERE r.queue = g.queue
       AND NOT EXISTS (SELECT 1 FROM awa.queues AS q WHERE q.queue = g.queue)
       AND NOT EXISTS (SELECT 1 FROM awa.lanes AS l WHERE l.queue = g.queue AND NOT l.retired);
END
$$;

-- Whether a lane has no entry, no gap beside its head, and no transaction that may still write an entry.
-- The transactions are asked for before the entries are looked for.
CREATE OR REPLACE FUNCTION awa.lane_is_bare(p_lane int)
RETURNS boolean
LANGUAGE plpgsql
AS $$
BEGIN
    IF cardinality(awa.living_drawers(p_lane)) > 0 THEN
        RETURN false;
    END IF;
    RETURN NOT EXISTS (SELECT 1 FROM awa.lane_gaps AS g WHERE g.lane_id = p_lane)
           AND NOT EXISTS (SELECT 1
                             FROM awa.ready_entries AS e
                            WHERE e.pos >= p_lane::bigint << 44
                              AND e.pos < (p_lane::bigint + 1) << 44);
END
$$;
