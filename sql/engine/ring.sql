-- SPDX-License-Identifier: MIT
-- requires: close
-- The ring: rotate into an empty slot, carry what is still alive out of an old one, truncate it.
-- All of it is called by the leader, in transactions of its own.
--
-- A truncate hardly waits: it takes its locks within 10 ms, or 200 ms if the slot has been due for a
-- while, or comes back later. Others may take locks in another order, and a long wait would become
-- a deadlock.
--
-- Each refuses an isolation level that could hold an old snapshot: what was committed after it
-- would be truncated unseen.

-- The ringed tables. In this order a slot's children are locked: first the one that claims and
-- closes begin with. Those that are under way then find the other tables free and come to their
-- end, and those that begin wait with nothing in their hands.
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

-- Every slot: its size, the generation that opened it last, when, and when it was sealed (NULL:
-- it is the current one). A size of 0 means that it is empty and may be opened.
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

-- At which size the next slot is opened: the current one takes in at least as much as was carried
-- into it. So turns by size never copy more than is written, however full the ring is of what must
-- be kept; as a garbage collector runs again when its heap has doubled.
CREATE OR REPLACE FUNCTION awa.slot_limit()
RETURNS bigint
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    RETURN (SELECT greatest(s.slot_bytes, 2 * (SELECT sum(k.bytes) FROM awa.ring_carries AS k))
              FROM awa.settings AS s);
END
$$;

-- Open the next generation if the current slot is large or old enough and an empty slot exists.
-- It takes any empty slot, so one slot with a stubborn backlog does not stop the ring.
-- Returns the slot that is current now if it changed, else NULL.
CREATE OR REPLACE FUNCTION awa.rotate_ring(p_force boolean DEFAULT false,
        p_now timestamptz DEFAULT clock_timestamp())
RETURNS smallint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
SET max_parallel_workers_per_gather = 0
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

-- Checkpoint the heads of lanes whose newest claim lies in a slot: repeat them, with no positions,
-- in the current slot. Not inside the prune: a claimer that waits for the pruned table could
-- otherwise read an older head on an older snapshot. Lanes that are busy just now write newer
-- claims themselves. Returns how many heads still lie in the slot.
CREATE OR REPLACE FUNCTION awa.checkpoint_heads(p_slot smallint)
RETURNS int
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

-- The positions of a slot of which nothing final was said: neither closed nor withdrawn. Whatever
-- is not in this set can hold no living entry; it is searched by index, so the cost follows what
-- is alive and not what passed through.
CREATE OR REPLACE FUNCTION awa.unsettled(p_slot smallint)
RETURNS int8multirange
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN '{(,)}'::int8multirange
           - (SELECT coalesce(range_agg(k.positions), '{}')
                FROM awa.closures AS k WHERE k.ready_slot = p_slot)
           - (SELECT coalesce(range_agg(int8range(t.pos, t.pos + 1)), '{}')
                FROM awa.ready_tombstones AS t WHERE t.ready_slot = p_slot);
END
$$;

-- Up to p_max entries of a slot that are alive: waiting or running.
CREATE OR REPLACE FUNCTION awa.alive_entries(p_slot smallint, p_max int)
RETURNS int8multirange
LANGUAGE plpgsql
AS $$
DECLARE
    v_range int8range;
    v_alive int8multirange := '{}';
    v_found int8multirange;
    v_left bigint := p_max;
BEGIN
    FOR v_range IN SELECT r FROM unnest(awa.unsettled(p_slot)) AS r LOOP
        SELECT coalesce(range_agg(int8range(e.pos, e.pos + 1)), '{}') INTO v_found
          FROM (SELECT e.pos
                  FROM awa.ready_entries AS e
                 WHERE e.ready_slot = p_slot
                   AND e.pos >= coalesce(lower(v_range), 0)
                   AND e.pos < coalesce(upper(v_range), 9223372036854775807)
                 ORDER BY e.pos
                 LIMIT v_left) AS e;
        v_alive := v_alive + v_found;
        v_left := v_left - awa.width(v_found);
        EXIT WHEN v_left <= 0;
    END LOOP;
    RETURN v_alive;
END
$$;

-- Copy entries of a slot into the current one. The caller marks the originals.
CREATE OR REPLACE FUNCTION awa.copy_entries(p_slot smallint, p_positions int8multirange)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO awa.ready_entries (pos, id, enqueued_at, ready_slot, attempt, max_attempts, kind,
           args, tags, metadata, unique_key, errors, created_at)
    SELECT e.pos, e.id, e.enqueued_at, awa.current_slot(), e.attempt, e.max_attempts, e.kind,
           e.args, e.tags, e.metadata, e.unique_key, e.errors, e.created_at
      FROM unnest(p_positions) AS r
     CROSS JOIN LATERAL (
            SELECT e.*
              FROM awa.ready_entries AS e
             WHERE e.ready_slot = p_slot AND e.pos >= lower(r) AND e.pos < upper(r)
             ORDER BY e.pos) AS e;
END
$$;

-- Withdraw entries: nobody will claim them, and the originals of carried ones are not shown.
CREATE OR REPLACE FUNCTION awa.add_tombstones(p_slot smallint, p_positions int8multirange,
        p_reason awa.withdrawal)
RETURNS int8multirange
LANGUAGE plpgsql
AS $$
DECLARE
    v_withdrawn int8multirange;
BEGIN
    WITH added AS (
        INSERT INTO awa.ready_tombstones (pos, ready_slot, reason)
        SELECT e.pos, p_slot, p_reason
          FROM unnest(p_positions) AS r
         CROSS JOIN LATERAL (
                SELECT e.pos
                  FROM awa.ready_entries AS e
                 WHERE e.ready_slot = p_slot AND e.pos >= lower(r) AND e.pos < upper(r)
                 ORDER BY e.pos) AS e
            ON CONFLICT DO NOTHING
        RETURNING pos)
    SELECT coalesce(range_agg(int8range(a.pos, a.pos + 1)), '{}') INTO v_withdrawn FROM added AS a;
    RETURN v_withdrawn;
END
$$;

-- Failed jobs of a slot that are young enough to be retried, at most p_max.
CREATE OR REPLACE FUNCTION awa.kept_entries(p_slot smallint, p_max int, p_now timestamptz)
RETURNS int8multirange
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN (SELECT coalesce(range_agg(int8range(k.pos, k.pos + 1)), '{}')
              FROM (SELECT d.pos
                      FROM awa.settings AS s
                     CROSS JOIN awa.done_entries AS d
                      JOIN awa.lanes AS l ON l.lane_id = (d.pos >> 44)::int
                      LEFT JOIN awa.queues AS q ON q.queue = l.queue
                     WHERE d.ready_slot = p_slot AND d.state = 'failed'
                       AND d.finalized_at > p_now - coalesce(q.failed_retention,
                                                             s.failed_retention)
                       AND NOT EXISTS (SELECT 1
                                         FROM awa.ready_tombstones AS t
                                        WHERE t.ready_slot = p_slot AND t.pos = d.pos)
                     LIMIT p_max) AS k);
END
$$;

-- Copy the claims of positions into the current slot.
CREATE OR REPLACE FUNCTION awa.copy_claims(p_slot smallint, p_positions int8multirange)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO awa.claims (claim_id, worker_id, claimed_at, deadline_at, cursor,
           gaps_searched_at, lane_id, n, ready_slot, positions, gaps)
    SELECT c.claim_id, c.worker_id, c.claimed_at, c.deadline_at, c.cursor, c.gaps_searched_at,
           c.lane_id, awa.width(c.positions * p_positions), awa.current_slot(),
           c.positions * p_positions, c.gaps
      FROM awa.claims AS c
     WHERE c.ready_slot = p_slot AND c.positions && p_positions;
END
$$;

-- Failed jobs that are carried stay failed: their entries, how they ran, and how they ended.
CREATE OR REPLACE FUNCTION awa.carry_kept(p_slot smallint, p_kept int8multirange)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_kept int8multirange := awa.take_back(p_slot, p_kept, 'carried');
BEGIN
    PERFORM awa.copy_entries(p_slot, v_kept), awa.copy_claims(p_slot, v_kept);
    INSERT INTO awa.closures (closed_at, lane_id, n, ready_slot, outcome, positions)
    SELECT k.closed_at, k.lane_id, awa.width(k.positions * v_kept), awa.current_slot(), k.outcome,
           k.positions * v_kept
      FROM awa.closures AS k
     WHERE k.ready_slot = p_slot AND k.positions && v_kept;
    INSERT INTO awa.done_entries (pos, id, finalized_at, ready_slot, attempt, state, output,
           errors)
    SELECT d.pos, d.id, d.finalized_at, awa.current_slot(), d.attempt, d.state, d.output, d.errors
      FROM awa.done_entries AS d
     WHERE d.ready_slot = p_slot AND d.pos <@ v_kept;
    RETURN awa.width(v_kept);
END
$$;

-- Carry up to p_max entries that are still of use out of a sealed slot, into the current one, at
-- the same positions: waiting entries, running ones with their claims, and failed jobs within
-- their retention. A position can be carried and closed at the same moment; the exclusion
-- constraint lets one of them win, and a close that loses finds the copy. Lanes that are busy are
-- passed over. By how much the current slot grew meanwhile is written down for awa.slot_limit().
-- Returns how many entries were carried.
CREATE OR REPLACE FUNCTION awa.carry_forward(p_slot smallint, p_max int DEFAULT 10000,
        p_now timestamptz DEFAULT clock_timestamp())
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
SET max_parallel_workers_per_gather = 0
SET enable_seqscan = off
SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan
SET lock_timeout = '100ms'
AS $$
DECLARE
    v_alive int8multirange;
    v_lane int;
    v_carried bigint := 0;
    v_kept int8multirange;
    v_bytes bigint;
BEGIN
    PERFORM awa.require_read_committed('carry');
    -- Nobody rotates while this writes into the current slot; see awa.settled_positions().
    IF NOT awa.try_lock_shared('maintenance') THEN
        RETURN 0;
    END IF;
    IF p_slot = awa.current_slot() THEN
        RAISE EXCEPTION 'slot: % is the current one', p_slot USING ERRCODE = 'JQ001';
    END IF;
    PERFORM awa.require_durable();
    SELECT r.bytes INTO v_bytes FROM awa.ring_slots() AS r WHERE r.ready_slot = awa.current_slot();
    v_alive := awa.alive_entries(p_slot, p_max);
    FOR v_lane IN
        SELECT DISTINCT l FROM unnest(v_alive) AS r,
               generate_series(lower(r) >> 44, (upper(r) - 1) >> 44) AS l ORDER BY l
    LOOP
        IF NOT awa.try_lane(v_lane) THEN
            -- Nobody can ever claim what a COPY put into a lane that does not exist.
            PERFORM awa.add_tombstones(p_slot, v_alive * int8multirange(int8range(
                        v_lane::bigint << 44, (v_lane + 1)::bigint << 44)), 'removed')
              WHERE NOT EXISTS (SELECT 1 FROM awa.lanes AS l WHERE l.lane_id = v_lane);
            CONTINUE;
        END IF;
        BEGIN
            v_carried := v_carried + awa.carry_lane(p_slot, v_lane, v_alive * int8multirange(
                    int8range(v_lane::bigint << 44, (v_lane + 1)::bigint << 44)));
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            NULL; -- a handler is completing one of them in its own transaction
        END;
    END LOOP;

    v_kept := awa.kept_entries(p_slot, p_max, p_now);
    IF NOT isempty(v_kept) THEN
        BEGIN
            v_carried := v_carried + awa.carry_kept(p_slot, v_kept);
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            NULL; -- somebody is just taking one of them
        END;
    END IF;
    IF v_carried > 0 THEN
        INSERT INTO awa.ring_carries (bytes)
        SELECT r.bytes - v_bytes
          FROM awa.ring_slots() AS r
         WHERE r.ready_slot = awa.current_slot() AND r.bytes > v_bytes;
    END IF;
    RETURN v_carried;
END
$$;

-- The living entries of one lane, whose lock the caller holds, so that no claim comes between.
CREATE OR REPLACE FUNCTION awa.carry_lane(p_slot smallint, p_lane int, p_alive int8multirange)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_running int8multirange;
    v_waiting int8multirange;
BEGIN
    SELECT coalesce(range_agg(c.positions), '{}') * p_alive INTO v_running
      FROM awa.claims AS c
     WHERE c.ready_slot = p_slot AND c.lane_id = p_lane AND c.positions && p_alive;
    v_waiting := p_alive - v_running;

    v_running := awa.add_closure(p_slot, p_lane, v_running, 'carried');
    PERFORM awa.copy_entries(p_slot, v_running), awa.copy_claims(p_slot, v_running);

    -- Only what this call withdraws: the others were cancelled or carried before we had the lock.
    v_waiting := awa.add_tombstones(p_slot, v_waiting, 'carried');
    PERFORM awa.copy_entries(p_slot, v_waiting);
    RETURN awa.width(v_running) + awa.width(v_waiting);
END
$$;

-- ---- Old snapshots -------------------------------------------------------------------------

-- Transactions of this database that have a snapshot just now, as virtual transaction ids, which are
-- not used twice. Not by their xmin: while another database has an open transaction with an id, a
-- new snapshot looks as old as that one.
CREATE OR REPLACE FUNCTION awa.snapshot_holders()
RETURNS text[]
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM pg_stat_clear_snapshot(); -- or we would read what this transaction has read before
    RETURN ARRAY(
        SELECT k.virtualtransaction
          FROM pg_locks AS k
          JOIN pg_stat_activity AS a ON a.pid = k.pid
         WHERE k.locktype = 'virtualxid' AND k.mode = 'ExclusiveLock' AND k.granted
           AND a.backend_xmin IS NOT NULL AND a.datname = current_database()
           AND a.usesysid IS NOT NULL -- no autovacuum: it reads no jobs
           AND a.pid <> pg_backend_pid()
         ORDER BY 1);
END
$$;

-- The generation that opened a slot last.
CREATE OR REPLACE FUNCTION awa.slot_generation(p_slot smallint)
RETURNS bigint
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN (SELECT max(r.generation) FROM awa.ring_rotations AS r WHERE r.ready_slot = p_slot);
END
$$;

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

-- Truncate a slot in which nothing is of use any more. Writers are locked out before the last
-- look, so no insert in flight can hide there; readers only for the truncate itself. It comes back later
-- for whoever has a snapshot in which something still lives there; most of them are gone in a moment.
-- Returns 'pruned', or why not: 'current', 'busy' (locks), 'alive' (entries), 'heads' (lanes),
-- 'snapshots' or 'keys' (more unique keys than go at once).
CREATE OR REPLACE FUNCTION awa.prune_slot(p_slot smallint,
        p_now timestamptz DEFAULT clock_timestamp())
RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
SET max_parallel_workers_per_gather = 0
SET enable_seqscan = off
SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan
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

-- Bring the index that finds jobs by id up to date with what was appended.
CREATE OR REPLACE FUNCTION awa.summarize_ids()
RETURNS int
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
SET max_parallel_workers_per_gather = 0
AS $$
    SELECT coalesce(sum(brin_summarize_new_values(i.indexrelid)), 0)::int
      FROM pg_index AS i
      JOIN pg_class AS c ON c.oid = i.indexrelid
     WHERE i.indrelid = format('awa.ready_entries_%s', awa.current_slot())::regclass
       AND c.relam = (SELECT a.oid FROM pg_am AS a WHERE a.amname = 'brin')
$$;
