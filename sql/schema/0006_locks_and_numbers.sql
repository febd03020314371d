-- SPDX-License-Identifier: MIT
-- Three things that a stranger, or another transaction, could spoil before:
-- - gaps know which transactions may own them, so nobody else's transaction keeps them;
-- - locks are rows and tables of ours, which only our functions may lock, not guessable numbers;
-- - positions and hunger come from a fixed number of sequences, so nothing is created at run time.

-- ---- Gaps ----------------------------------------------------------------------------------

-- Gaps of a lane, and which transactions may own them.
CREATE TYPE awa.gap_group AS (
    gaps int8multirange,
    owners xid8[]); -- NULL: not known yet

ALTER TYPE awa.lane_search DROP ATTRIBUTE gaps, DROP ATTRIBUTE complete;
ALTER TYPE awa.lane_search ADD ATTRIBUTE gaps awa.gap_group[]; -- as in a head
ALTER TYPE awa.lane_search ADD ATTRIBUTE searched boolean;     -- all gaps that needed it
ALTER TYPE awa.lane_search ADD ATTRIBUTE bytes bigint;         -- of the arguments that were found

ALTER TABLE awa.claims ADD gaps awa.gap_group[]; -- NULL: none

INSERT INTO awa.claims (claim_id, worker_id, claimed_at, cursor, lane_id, n, ready_slot, positions,
       gaps_young, gaps_old, gaps)
SELECT nextval('awa.claim_ids'), 0, clock_timestamp(), h.cursor, l.lane_id, 0, r.ready_slot, '{}',
       '{}', '{}', ARRAY[ROW(h.gaps_young + h.gaps_old, NULL)::awa.gap_group]
  FROM awa.lanes AS l
 CROSS JOIN LATERAL (SELECT c.*
                       FROM awa.claims AS c
                      WHERE c.lane_id = l.lane_id
                      ORDER BY c.claim_id DESC
                      LIMIT 1) AS h
 CROSS JOIN (SELECT r.ready_slot
               FROM awa.ring_rotations AS r
              ORDER BY r.generation DESC
              LIMIT 1) AS r
 WHERE NOT isempty(h.gaps_young + h.gaps_old);

ALTER TABLE awa.claims DROP gaps_young, DROP gaps_old, DROP gaps_old_xid;

ALTER TABLE awa.lane_gaps ADD owners xid8[]; -- NULL: not known yet
ALTER TABLE awa.lane_gaps DROP gaps_xid;

-- ---- Locks ---------------------------------------------------------------------------------

-- One row for each thing that only one transaction at a time may do; it locks the row.
CREATE TABLE awa.locks (
    name text PRIMARY KEY);

INSERT INTO awa.locks (name) VALUES ('leadership'), ('maintenance'), ('history'), ('rebuild');

-- Whoever draws a block of numbers locks this table, for microseconds; see awa.draw_block().
CREATE TABLE awa.draw_lock ();

CREATE SEQUENCE awa.block_draws; -- odd while a block is drawn

-- ---- Numbers -------------------------------------------------------------------------------

-- The lanes share these: lane L draws from numbers_(L % 128). Its positions are those numbers,
-- shifted into its own interval.
DO $$
DECLARE
    v_numbers CONSTANT int := 128;
    v_hungry CONSTANT int := 16;
BEGIN
    FOR k IN 0 .. v_numbers - 1 LOOP
        EXECUTE format('CREATE SEQUENCE awa.%I', 'numbers_' || k);
    END LOOP;
    FOR k IN 0 .. v_hungry - 1 LOOP
        EXECUTE format('CREATE SEQUENCE awa.%I MINVALUE 0 START 0', 'hunger_' || k);
    END LOOP;
END
$$;

-- Lanes go on above what their own sequences had handed out, and above what producers that are
-- under way may still draw from them. Those sequences stay until nobody has a lock on them:
-- awa.mend() drops them.
ALTER TABLE awa.lanes ADD shift bigint; -- position minus number
UPDATE awa.lanes
   SET shift = coalesce(pg_sequence_last_value(positions), lane_id::bigint << 44) + (1::bigint << 24);
ALTER TABLE awa.lanes ALTER shift SET NOT NULL;
ALTER TABLE awa.lanes DROP positions;
ALTER TABLE awa.queues DROP hungry_until;
DROP SEQUENCE awa.queue_ids;

-- The number of a queue or lane whose transaction was rolled back is used again. The last one is
-- left out: the end of its interval is more than a bigint holds.
ALTER SEQUENCE awa.lane_ids MAXVALUE 524286 CYCLE;

-- ---- What cannot be true -------------------------------------------------------------------

-- Rows come by COPY, too, so the table itself refuses what would make every claim of its lane fail, or
-- every list. In one constraint: each has to be read anew by every INSERT of a single job. Rows that
-- are there already are left as they are.
ALTER TABLE awa.ready_entries
    DROP CONSTRAINT max_attempts,
    ADD CONSTRAINT max_attempts CHECK (max_attempts BETWEEN 1 AND 1000
                                       AND attempt BETWEEN 0 AND 1000 AND pos >= 0
                                       AND isfinite(enqueued_at) AND isfinite(created_at))
        NOT VALID;

-- The leader brings these indexes up to date. Here each range asked autovacuum for it, by a line
-- in the server's log whenever the cluster's list of such wishes was full.
DO $$
DECLARE
    v_index regclass;
BEGIN
    FOR v_index IN SELECT c.oid FROM pg_class AS c JOIN pg_am AS a ON a.oid = c.relam
                    WHERE c.relnamespace = 'awa'::regnamespace AND c.relkind = 'i'
                      AND a.amname = 'brin' LOOP
        EXECUTE format('ALTER INDEX %s SET (autosummarize = off)', v_index);
    END LOOP;
END
$$;
