-- SPDX-License-Identifier: MIT
-- The ring: rotate into an empty slot, truncate an old one.
-- All of it is called by the leader, in transactions of its own.
--
-- A truncate hardly waits: it takes its locks within 10 ms, or 200 ms if the slot has been due for a
-- while, or comes back later. Others may take locks in another order, and a long wait would become
-- a deadlock.
--
-- Each refuses an isolation level that could hold an old snapshot: what was committed after it
-- would be truncated unseen.

-- ---- Rotate --------------------------------------------------------------------------------

-- Open the next generation if the current slot is large or old enough and an empty slot exists.
-- It takes any empty slot, so one slot with a stubborn backlog does not stop the ring.
-- Returns the slot that is current now if it changed, else NULL.
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

-- Checkpoint the heads of lanes whose newest claim lies in a slot: repeat them, with no positions,
-- in the current slot. Not inside the prune: a claimer that waits for the pruned table could
-- otherwise read an older head on an older snapshot. Lanes that are busy just now write newer
-- claims themselves. Returns how many heads still lie in the slot.
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
        v_head := awa.lane_head(v_lane); -- again, now under the lock
        CONTINUE WHEN v_head.ready_slot <> p_slot;
        PERFORM awa.write_head(v_head, v_head.claim_id);
    END LOOP;
    RETURN v_left;
END
$$;

-- Lanes whose head would be lost with a slot: no other slot has a claim as new. Heads of retired lanes
-- may go.
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

-- Who may still see something living in a slot out of which everything living has gone: whoever has
-- had a snapshot since before that, but after the slot was opened. NULL: it is not known, because
-- something may still live there.
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

-- Note that nothing living is in a slot any more, as the caller has just seen, or (p_settled false)
-- that there is.
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

-- The sealed slot that should be emptied now, NULL if none: its history is older than the
-- retention, or fewer than two slots are empty. The oldest goes first, but for stubborn ones, of
-- which more than 10,000 entries would have to be carried: that gains little, so it is done only if
-- no slot is empty at all, for the one that costs least. A slot into which a transaction has
-- written that is still open, or which an old snapshot still needs, cannot be truncated; the others
-- must not wait for it.
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
                  AND l.pid IS DISTINCT FROM pg_backend_pid()) -- which may just have folded it
         ORDER BY r.generation NULLS FIRST, r.ready_slot
    LOOP
        v_cost := awa.kept_estimate(v_slot.ready_slot, v_slot.sealed_at, p_now);
        -- Without a look at what is alive: the leader comes every second, for days.
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

-- How many failed jobs in a sealed slot are within their retention, at most: by what is folded, so
-- without looking at any of them.
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

-- How long the history of a slot is kept: as long as the most patient of the queues that ran jobs
-- from it wants completed and cancelled jobs to be seen.
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

-- Whether a slot should have been emptied some seconds ago, or the ring needs it now.
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

-- Who has a lock on a slot's tables.
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

-- Note who has such a lock now. Called once in each of the leader's turns, before the prune.
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
-- would wait. (Not by sleeping here: pg_sleep() goes by the wall clock, and sleeps for an hour if that is
-- set back by one meanwhile.)
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

-- Truncate a slot in which nothing is of use any more. Writers are locked out before the last
-- look, so no insert in flight can hide there; readers only for the truncate itself. It comes back later
-- for whoever has a snapshot in which something still lives there; most of them are gone in a moment.
-- Returns 'pruned', or why not: 'current', 'busy' (locks), 'alive' (entries), 'heads' (lanes),
-- 'snapshots' or 'keys' (more unique keys than go at once).
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
    -- A plan that is kept locks the tables of all slots whenever it runs. Beside closes that follow
    -- each other and take longer, 10 ms are never enough. But whoever comes while we wait must wait,
    -- too: that is for nothing, and again each second, if a long transaction holds a lock.
    IF awa.slot_is_overdue(p_slot, p_now) AND NOT awa.slot_is_held(p_slot) THEN
        PERFORM set_config('lock_timeout', '200ms', true); -- of this call
    END IF;
    SELECT string_agg(format('awa.%I', t || '_' || p_slot), ', ' ORDER BY ord) INTO v_children
      FROM unnest(awa.ringed_tables()) WITH ORDINALITY AS u (t, ord);
    EXECUTE format('LOCK TABLE awa.%I IN SHARE MODE', 'ready_entries_' || p_slot);
    IF NOT isempty(awa.alive_entries(p_slot, 1))
       OR NOT isempty(awa.kept_entries(p_slot, 1, p_now)) THEN -- after it: a living job may just fail
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
    IF EXISTS (SELECT 1 FROM awa.heads_in_slot(p_slot)) THEN -- of a claim that was under way
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

-- Bring the index that finds jobs by id up to date with what was appended.
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
