-- SPDX-License-Identifier: MIT
-- The slots of the ring: how many there are, how large each is, and which one is current.

-- The ringed tables, in the order in which a slot's children are locked. The first one is the table with
-- which claims and closes begin: those that are under way then find the other tables free and can end,
-- and those that begin wait while they hold no lock.
CREATE OR REPLACE FUNCTION awa.ringed_tables()
RETURNS text[]
LANGUAGE sql IMMUTABLE
RETURN ARRAY['claims', 'ready_entries', 'ready_tombstones', 'closures', 'done_entries',
             'queue_terminal_count_deltas', 'queue_terminal_live_counts'];

-- How many slots the ring has.
CREATE OR REPLACE FUNCTION awa.slots()
RETURNS int
LANGUAGE sql STABLE
RETURN (SELECT count(*) FROM pg_inherits AS i
         WHERE i.inhparent = 'awa.ready_entries'::regclass)::int;

-- Every slot: its size, the generation that opened it last, when it was opened, and when it was sealed
-- (NULL: it is the current slot). A slot of size 0 is empty and may be opened.
CREATE OR REPLACE FUNCTION awa.ring_slots()
RETURNS TABLE (ready_slot smallint, bytes bigint, generation bigint, opened_at timestamptz,
               sealed_at timestamptz)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT s.ready_slot::smallint, b.bytes, r.generation, r.opened_at, r.sealed_at
      FROM generate_series(0, awa.slots() - 1) AS s (ready_slot)
     CROSS JOIN LATERAL (
            SELECT sum(pg_relation_size(format('awa.%I', t || '_' || s.ready_slot)::regclass))::bigint
                   AS bytes
              FROM unnest(awa.ringed_tables()) AS t) AS b
      LEFT JOIN LATERAL (
            SELECT o.generation, o.opened_at,
                   (SELECT n.opened_at FROM awa.ring_rotations AS n
                     WHERE n.generation > o.generation ORDER BY n.generation LIMIT 1) AS sealed_at
              FROM awa.ring_rotations AS o
             WHERE o.ready_slot = s.ready_slot
             ORDER BY o.generation DESC
             LIMIT 1) AS r ON true;
END;

-- The slot into which producers write now.
CREATE OR REPLACE FUNCTION awa.current_slot()
RETURNS smallint
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    RETURN (SELECT r.ready_slot FROM awa.ring_rotations AS r ORDER BY r.generation DESC LIMIT 1);
END
$$;

-- The last generation that opened a slot.
CREATE OR REPLACE FUNCTION awa.slot_generation(p_slot smallint)
RETURNS bigint
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN (SELECT max(r.generation) FROM awa.ring_rotations AS r WHERE r.ready_slot = p_slot);
END
$$;

-- The size of the current slot at which the next one is opened. The current slot takes in at least as
-- many new bytes as were carried into it. So turns by size never copy more than is written, however full
-- the ring is of entries that must be kept. (In the same way a garbage collector runs again when its heap
-- has doubled.)
CREATE OR REPLACE FUNCTION awa.slot_limit()
RETURNS bigint
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    RETURN (SELECT greatest(s.slot_bytes, 2 * (SELECT sum(k.bytes) FROM awa.ring_carries AS k))
              FROM awa.settings AS s);
END
$$;
