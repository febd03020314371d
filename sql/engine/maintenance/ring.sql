-- SPDX-License-Identifier: MIT
-- The ring: open an empty slot, and truncate an old one. The leader calls all of this, in transactions of
-- its own.
--
-- A truncate hardly waits: it gets its locks within 10 ms, or within 200 ms if the slot has been due for
-- a while; otherwise the leader comes back later. Other transactions may take locks in another order, and
-- a long wait would become a deadlock.
--
-- Each function that changes the ring refuses an isolation level that could hold an old snapshot: it
-- would truncate what was committed after that snapshot without having seen it.

-- ---- Rotate --------------------------------------------------------------------------------

-- Open the next generation if the current slot is large or old enough and an empty slot exists. Any empty
-- slot will do, so a slot that cannot be emptied for long does not stop the ring. Returns the slot that
-- is current now if it changed, else NULL.
-- Door: plain.
CREATE OR REPLACE FUNCTION awa.rotate_ring(p_force boolean DEFAULT false,
        p_now timestamptz DEFAULT clock_timestamp())
RETURNS smallint
LANGUAGE plpgsql
AS $$
DECLARE
    v_next smallint;
    v_due boolean;
BEGIN
    PERFORM awa.require_read_committed('rotate');
    IF NOT awa.try_lock('maintenance') THEN
        RETURN NULL;
    END IF;
    SELECT c.bytes > 0 AND (p_force OR p_now - c.opened_at >= s.slot_age
                            OR c.bytes >= awa.slot_limit()) INTO v_due
      FROM awa.ring_slots() AS c, awa.settings AS s
     WHERE c.ready_slot = awa.current_slot();
    IF NOT v_due THEN
        RETURN NULL;
    END IF;
    SELECT r.ready_slot INTO v_next
      FROM awa.ring_slots() AS r
     WHERE r.bytes = 0 AND r.ready_slot <> awa.current_slot()
     ORDER BY r.generation NULLS FIRST, r.ready_slot
     LIMIT 1;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    INSERT INTO awa.ring_rotations (generation, ready_slot, opened_at)
    SELECT max(r.generation) + 1, v_next, p_now FROM awa.ring_rotations AS r;
    INSERT INTO awa.slot_snapshots (generation, opened)
    SELECT max(r.generation), awa.snapshot_holders() FROM awa.ring_rotations AS r;
    DELETE FROM awa.ring_rotations AS r
     WHERE r.generation < (SELECT max(m.generation) - 1000 FROM awa.ring_rotations AS m);
    DELETE FROM awa.slot_snapshots AS n
     WHERE n.generation < (SELECT max(m.generation) - 1000 FROM awa.ring_rotations AS m);
    DELETE FROM awa.ring_carries;
    RETURN v_next;
END
$$;

-- ---- Heads ---------------------------------------------------------------------------------

-- Write the heads of lanes whose newest claim lies in a slot once more, with no positions, into the
-- current slot. This is not part of the prune: a claim that waits for the pruned table could otherwise
-- read an older head by an older snapshot. Lanes that are busy are passed over: they write newer claims
-- themselves. Returns how many heads still lie in the slot.
-- Door: hot.
CREATE OR REPLACE FUNCTION awa.checkpoint_heads(p_slot smallint)
RETURNS int
LANGUAGE plpgsql
AS $$
DECLARE
    v_lane int;
    v_head awa.claims;
    v_left int := 0;
BEGIN
    PERFORM awa.require_read_committed('checkpoint'); -- rule G5
    IF p_slot = awa.current_slot() THEN
        RAISE EXCEPTION 'slot: % is the current one', p_slot USING ERRCODE = 'JQ001';
    END IF;
    PERFORM awa.note_holders(p_slot);
    FOR v_lane IN SELECT h.lane_id FROM awa.heads_in_slot(p_slot) AS h ORDER BY h.lane_id LOOP
        IF NOT awa.try_lane(v_lane) THEN
            v_left := v_left + 1;
            CONTINUE;
        END IF;
        v_head := awa.lane_head(v_lane); -- once more, now under the lock
        CONTINUE WHEN v_head.ready_slot <> p_slot;
        PERFORM awa.write_head(v_head, v_head.claim_id);
    END LOOP;
    RETURN v_left;
END
$$;

-- The lanes whose head would be lost with a slot: no other slot has a claim as new. The head of a retired
-- lane may be lost.
CREATE OR REPLACE FUNCTION awa.heads_in_slot(p_slot smallint)
RETURNS TABLE (lane_id int)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
        SELECT l.lane_id
          FROM awa.lanes AS l
         CROSS JOIN LATERAL (SELECT c.claim_id
                               FROM awa.claims AS c
                              WHERE c.ready_slot = p_slot AND c.lane_id = l.lane_id
                              ORDER BY c.claim_id DESC
                              LIMIT 1) AS here
         WHERE NOT l.retired
           AND NOT EXISTS (SELECT 1
                             FROM awa.claims AS c
                            WHERE c.lane_id = l.lane_id AND c.ready_slot <> p_slot
                              AND c.claim_id >= here.claim_id);
END
$$;

-- ---- Old snapshots -------------------------------------------------------------------------

-- The transactions that may still see something alive in a slot that nothing alive is in any more: they
-- had a snapshot when the slot was settled, and did not have it yet when the slot was opened. NULL: not
-- known, because something may still live in the slot.
CREATE OR REPLACE FUNCTION awa.slot_readers(p_slot smallint)
RETURNS text[]
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN (SELECT ARRAY(SELECT h FROM unnest(awa.snapshot_holders()) AS h
                          WHERE h = ANY (n.settled) AND h <> ALL (n.opened))
              FROM awa.slot_snapshots AS n
             WHERE n.generation = awa.slot_generation(p_slot) AND n.settled IS NOT NULL);
END
$$;

-- Note that nothing alive is in a slot any more, as the caller has just seen; or, with p_settled false,
-- that something is.
CREATE OR REPLACE FUNCTION awa.settle_slot(p_slot smallint, p_settled boolean)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO awa.slot_snapshots AS n (generation, opened, settled)
    SELECT awa.slot_generation(p_slot), '{}', awa.snapshot_holders()
     WHERE p_settled AND awa.slot_generation(p_slot) IS NOT NULL
        ON CONFLICT (generation) DO UPDATE SET settled = excluded.settled WHERE n.settled IS NULL;
    UPDATE awa.slot_snapshots AS n SET settled = NULL
     WHERE NOT p_settled AND n.settled IS NOT NULL
       AND n.generation = awa.slot_generation(p_slot);
END
$$;

-- ---- Prune ---------------------------------------------------------------------------------

-- The sealed slot that should be emptied now, or NULL: its history is older than the retention, or fewer
-- than two slots are empty. The oldest goes first. A stubborn slot, of which more than 10,000 entries
-- would have to be carried, is passed over, because that gains little; if no slot is empty at all, the
-- slot that costs least is taken. A slot cannot be truncated while a transaction that has written into it
-- is open, or while an old snapshot needs it; other slots do not wait for it.
CREATE OR REPLACE FUNCTION awa.slot_to_prune(p_now timestamptz DEFAULT clock_timestamp())
RETURNS smallint
LANGUAGE plpgsql
AS $$
DECLARE
    v_slot record;
    v_stubborn smallint;
    v_cost bigint;
    v_least bigint;
    v_empty bigint;
BEGIN
    SELECT count(*) FILTER (WHERE r.bytes = 0) INTO v_empty FROM awa.ring_slots() AS r;
    FOR v_slot IN
        SELECT r.ready_slot, r.sealed_at
          FROM awa.ring_slots() AS r, awa.settings AS s
         WHERE r.bytes > 0 AND r.ready_slot <> awa.current_slot()
           AND (v_empty < 2
                OR r.sealed_at < p_now - awa.slot_retention(r.ready_slot, s.completed_retention))
           AND coalesce(cardinality(awa.slot_readers(r.ready_slot)), 0) = 0
           AND NOT EXISTS (
               SELECT 1
                 FROM pg_locks AS l, unnest(awa.ringed_tables()) AS t
                WHERE l.relation = format('awa.%I', t || '_' || r.ready_slot)::regclass
                  AND l.database = (SELECT d.oid FROM pg_database AS d
                                     WHERE d.datname = current_database())
                  AND l.mode = 'RowExclusiveLock'
                  AND l.pid IS DISTINCT FROM pg_backend_pid()) -- we may just have folded this slot ourselves
         ORDER BY r.generation NULLS FIRST, r.ready_slot
    LOOP
        v_cost := awa.kept_estimate(v_slot.ready_slot, v_slot.sealed_at, p_now);
        -- This does not count what is alive: the leader comes every second, for days.
        CONTINUE WHEN v_cost > 10000 AND v_empty > 0;
        v_cost := v_cost + awa.width(awa.alive_entries(v_slot.ready_slot, 10001));
        IF v_cost <= 10000 THEN
            RETURN v_slot.ready_slot;
        END IF;
        IF v_least IS NULL OR v_cost < v_least THEN
            v_least := v_cost;
            v_stubborn := v_slot.ready_slot;
        END IF;
    END LOOP;
    RETURN CASE WHEN v_empty = 0 THEN v_stubborn END;
END
$$;

-- How many failed jobs of a sealed slot are within their retention, at most. The folded counts say it, so
-- no job is looked at.
CREATE OR REPLACE FUNCTION awa.kept_estimate(p_slot smallint, p_sealed_at timestamptz,
        p_now timestamptz)
RETURNS bigint
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN (SELECT coalesce(sum(c.failed), 0)
              FROM awa.settings AS s
             CROSS JOIN awa.queue_terminal_live_counts AS c
              LEFT JOIN awa.queues AS q ON q.queue = c.queue
             WHERE c.ready_slot = p_slot
               AND p_sealed_at > p_now - coalesce(q.failed_retention, s.failed_retention));
END
$$;

-- How long the history of a slot is kept: for the longest time for which one of the queues whose jobs
-- were claimed from it keeps completed and cancelled jobs.
CREATE OR REPLACE FUNCTION awa.slot_retention(p_slot smallint, p_default interval)
RETURNS interval
LANGUAGE plpgsql
AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM awa.queues AS q WHERE q.completed_retention IS NOT NULL) THEN
        RETURN p_default;
    END IF;
    RETURN (SELECT coalesce(max(coalesce(q.completed_retention, p_default)), p_default)
              FROM awa.lanes AS l
              LEFT JOIN awa.queues AS q ON q.queue = l.queue
             WHERE EXISTS (SELECT 1 FROM awa.claims AS c
                            WHERE c.ready_slot = p_slot AND c.lane_id = l.lane_id));
END
$$;

-- Whether a slot should have been emptied 5 s ago, or fewer than two slots are empty.
CREATE OR REPLACE FUNCTION awa.slot_is_overdue(p_slot smallint, p_now timestamptz)
RETURNS boolean
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN (SELECT count(*) FILTER (WHERE r.bytes = 0) < 2
                   OR bool_or(r.sealed_at < p_now - interval '5 s'
                              - awa.slot_retention(p_slot, s.completed_retention))
                      FILTER (WHERE r.ready_slot = p_slot)
              FROM awa.ring_slots() AS r, awa.settings AS s);
END
$$;

-- The transactions that have a lock on a slot's tables.
CREATE OR REPLACE FUNCTION awa.slot_holders(p_slot smallint)
RETURNS text[]
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN ARRAY(SELECT DISTINCT l.virtualtransaction
                   FROM pg_locks AS l, unnest(awa.ringed_tables()) AS t
                  WHERE l.relation = format('awa.%I', t || '_' || p_slot)::regclass
                    AND l.database = (SELECT d.oid FROM pg_database AS d
                                       WHERE d.datname = current_database())
                    AND l.granted AND l.pid IS DISTINCT FROM pg_backend_pid());
END
$$;

-- Note which transactions have such a lock now. Called once in each of the leader's turns, before the
-- prune.
CREATE OR REPLACE FUNCTION awa.note_holders(p_slot smallint)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO awa.slot_snapshots AS n (generation, opened, held)
    SELECT awa.slot_generation(p_slot), '{}', awa.slot_holders(p_slot)
     WHERE awa.slot_generation(p_slot) IS NOT NULL
        ON CONFLICT (generation) DO UPDATE SET held_before = n.held, held = excluded.held;
END
$$;

-- Whether a transaction has had such a lock since the leader's last turn, which is longer than a prune
-- would wait. (pg_sleep() here would not do: it goes by the wall clock, and sleeps for an hour if the
-- clock is set back by one meanwhile.)
CREATE OR REPLACE FUNCTION awa.slot_is_held(p_slot smallint)
RETURNS boolean
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN coalesce((SELECT n.held_before && awa.slot_holders(p_slot)
                       FROM awa.slot_snapshots AS n
                      WHERE n.generation = awa.slot_generation(p_slot)), false);
END
$$;

-- Truncate a slot in which nothing is of use any more. Writers are locked out before the last look, so no
-- insert in flight can hide; readers are locked out only for the truncate itself. A slot in which some
-- snapshot still sees something alive is left for later; most such snapshots are gone in a moment.
-- Returns 'pruned', or why not: 'current', 'busy' (locks), 'alive' (entries), 'heads' (of lanes),
-- 'snapshots', or 'keys' (more unique keys than are forgotten at once).
-- Door: hot.
CREATE OR REPLACE FUNCTION awa.prune_slot(p_slot smallint,
        p_now timestamptz DEFAULT clock_timestamp())
RETURNS text
LANGUAGE plpgsql
SET lock_timeout = '10ms'
AS $$
DECLARE
    v_children text;
BEGIN
    PERFORM awa.require_read_committed('prune');
    IF NOT awa.try_lock('maintenance') THEN
        RETURN 'busy';
    END IF;
    IF p_slot = awa.current_slot() THEN
        RETURN 'current';
    END IF;
    -- A kept plan locks the tables of all slots whenever it runs. Beside closes that follow each other
    -- and take longer, a wait of 10 ms is never enough. But a transaction that comes while we wait must
    -- wait, too. If a long transaction holds a lock, it would wait for nothing, and once a second.
    IF awa.slot_is_overdue(p_slot, p_now) AND NOT awa.slot_is_held(p_slot) THEN
        PERFORM set_config('lock_timeout', '200ms', true); -- of this call
    END IF;
    SELECT string_agg(format('awa.%I', t || '_' || p_slot), ', ' ORDER BY ord) INTO v_children
      FROM unnest(awa.ringed_tables()) WITH ORDINALITY AS u (t, ord);
    EXECUTE format('LOCK TABLE awa.%I IN SHARE MODE', 'ready_entries_' || p_slot);
    IF NOT isempty(awa.alive_entries(p_slot, 1))
       OR NOT isempty(awa.kept_entries(p_slot, 1, p_now)) THEN -- second: a living job may fail meanwhile
        PERFORM awa.settle_slot(p_slot, false);
        RETURN 'alive';
    END IF;
    IF EXISTS (SELECT 1 FROM awa.heads_in_slot(p_slot)) THEN
        RETURN 'heads';
    END IF;
    PERFORM awa.settle_slot(p_slot, true);
    IF cardinality(awa.slot_readers(p_slot)) > 0 THEN
        RETURN 'snapshots';
    END IF;
    IF awa.forget_keys(p_slot, 10000) THEN
        RETURN 'keys';
    END IF;
    EXECUTE 'LOCK TABLE ' || v_children || ' IN ACCESS EXCLUSIVE MODE';
    IF EXISTS (SELECT 1 FROM awa.heads_in_slot(p_slot)) THEN -- the head of a claim that was under way
        PERFORM awa.settle_slot(p_slot, false);
        RETURN 'heads';
    END IF;
    PERFORM awa.roll_up(p_slot);
    EXECUTE 'TRUNCATE ' || v_children;
    RETURN 'pruned';
EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
    RETURN 'busy';
END
$$;

-- ---- The index of ids ----------------------------------------------------------------------

-- Bring the index that finds jobs by id up to date with what was appended to the current slot.
-- Door: plain.
CREATE OR REPLACE FUNCTION awa.summarize_ids()
RETURNS int
LANGUAGE sql
AS $$
    SELECT coalesce(sum(brin_summarize_new_values(i.indexrelid)), 0)::int
      FROM pg_index AS i
      JOIN pg_class AS c ON c.oid = i.indexrelid
     WHERE i.indrelid = format('awa.ready_entries_%s', awa.current_slot())::regclass
       AND c.relam = (SELECT a.oid FROM pg_am AS a WHERE a.amname = 'brin')
$$;
