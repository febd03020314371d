-- SPDX-License-Identifier: MIT
-- Carry what is still alive, or kept, out of an old slot into the current one.

-- ---- What is of use ------------------------------------------------------------------------

-- The positions of a slot that are neither closed nor withdrawn. No other position can hold a living
-- entry. The set is searched by index, so the cost follows what is alive and not what passed through.
CREATE OR REPLACE FUNCTION awa.unmarked(p_slot smallint)
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
BEGIN
    RETURN (SELECT coalesce(range_agg(int8range(a.pos, a.pos + 1)), '{}')
              FROM (SELECT e.pos
                      FROM unnest(awa.unmarked(p_slot)) AS r
                     CROSS JOIN LATERAL (
                            SELECT e.pos
                              FROM awa.ready_entries AS e
                             WHERE e.ready_slot = p_slot
                               AND e.pos >= coalesce(lower(r), 0)
                               AND e.pos < coalesce(upper(r), 9223372036854775807)
                             ORDER BY e.pos) AS e
                     LIMIT p_max) AS a);
END
$$;

-- Failed jobs of a slot that are within their retention, at most p_max.
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

-- ---- Copies --------------------------------------------------------------------------------

-- The same entry in another slot.
CREATE OR REPLACE FUNCTION awa.entry_in_slot(p_entry awa.ready_entries, p_slot smallint)
RETURNS awa.ready_entries
LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
    p_entry.ready_slot := p_slot;
    RETURN p_entry;
END
$$;

-- Copy entries of a slot into the current slot. The caller marks the originals.
CREATE OR REPLACE FUNCTION awa.copy_entries(p_slot smallint, p_positions int8multirange)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_slot CONSTANT smallint := awa.current_slot();
BEGIN
    INSERT INTO awa.ready_entries
    SELECT (m.entry).*
      FROM (SELECT awa.entry_in_slot(e.entry, v_slot) AS entry
              FROM unnest(p_positions) AS r
             CROSS JOIN LATERAL (
                    SELECT e AS entry
                      FROM awa.ready_entries AS e
                     WHERE e.ready_slot = p_slot AND e.pos >= lower(r) AND e.pos < upper(r)
                     ORDER BY e.pos) AS e
            OFFSET 0) AS m; -- OFFSET: make each entry once, and not once for each column
END
$$;

-- Copy the claims of positions into the current slot.
CREATE OR REPLACE FUNCTION awa.copy_claims(p_slot smallint, p_positions int8multirange)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO awa.claims (claim_id, worker_id, claimed_at, deadline_at, cursor,
           gaps_searched_at, lane_id, n, ready_slot, positions, gaps, options)
    SELECT DISTINCT ON (c.claim_id, lower(c.positions))
           c.claim_id, c.worker_id, c.claimed_at, c.deadline_at, c.cursor, c.gaps_searched_at,
           c.lane_id, awa.width(t.positions), awa.current_slot(), t.positions, c.gaps, c.options
      FROM awa.claims_near(p_slot, p_positions) AS c
     CROSS JOIN LATERAL (SELECT awa.cut_to(c.positions, p_positions) AS positions OFFSET 0) AS t
     WHERE NOT isempty(t.positions)
     ORDER BY c.claim_id, lower(c.positions);
END
$$;

-- ---- Carrying ------------------------------------------------------------------------------

-- Carry up to p_max living entries, and up to p_max failed jobs, out of a sealed slot into the current
-- one, at the same positions: waiting entries, running ones with their claims, and failed jobs within
-- their retention. A position can be carried and closed at the same moment: the exclusion constraint lets
-- one of the two win, and a close that loses finds the copy. Lanes that are busy are passed over. The
-- function notes for awa.slot_limit() by how much the current slot grew. Returns how many entries were
-- carried.
-- Door: hot.
CREATE OR REPLACE FUNCTION awa.carry_forward(p_slot smallint, p_max int DEFAULT 10000,
        p_now timestamptz DEFAULT clock_timestamp())
RETURNS bigint
LANGUAGE plpgsql
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
    -- No rotation comes while this writes into the current slot; see awa.final_positions().
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
            NULL; -- a handler is completing one of these jobs in its own transaction
        END;
    END LOOP;

    v_kept := awa.kept_entries(p_slot, p_max, p_now);
    IF NOT isempty(v_kept) THEN
        BEGIN
            v_carried := v_carried + awa.carry_kept(p_slot, v_kept);
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            NULL; -- another transaction is taking one of these jobs
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

-- Carry the living entries of one lane. The caller holds the lane's lock, so no claim comes between.
CREATE OR REPLACE FUNCTION awa.carry_lane(p_slot smallint, p_lane int, p_alive int8multirange)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_running int8multirange;
    v_waiting int8multirange;
BEGIN
    SELECT coalesce(range_agg(c.positions), '{}') * p_alive INTO v_running
      FROM awa.claims_near(p_slot, p_alive) AS c;
    v_waiting := p_alive - v_running;

    v_running := awa.add_closure(p_slot, p_lane, v_running, 'carried');
    PERFORM awa.copy_entries(p_slot, v_running), awa.copy_claims(p_slot, v_running);

    -- Copy only what this call withdraws: the others were cancelled or carried before we had the lock.
    v_waiting := awa.add_tombstones(p_slot, v_waiting, 'carried');
    PERFORM awa.copy_entries(p_slot, v_waiting);
    RETURN awa.width(v_running) + awa.width(v_waiting);
END
$$;

-- Carry failed jobs, which stay failed: their entries, how they ran, and how they ended.
CREATE OR REPLACE FUNCTION awa.carry_kept(p_slot smallint, p_kept int8multirange)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_kept int8multirange := awa.take_back(p_slot, p_kept, 'carried');
BEGIN
    PERFORM awa.copy_entries(p_slot, v_kept), awa.copy_claims(p_slot, v_kept);
    INSERT INTO awa.closures (closed_at, lane_id, n, ready_slot, outcome, positions)
    SELECT k.closed_at, k.lane_id, awa.width(t.positions), awa.current_slot(), k.outcome, t.positions
      FROM awa.touched_closures(p_slot, v_kept) AS k
     CROSS JOIN LATERAL (SELECT awa.cut_to(k.positions, v_kept) AS positions OFFSET 0) AS t;
    INSERT INTO awa.done_entries (pos, id, finalized_at, ready_slot, attempt, state, output,
           errors)
    SELECT d.pos, d.id, d.finalized_at, awa.current_slot(), d.attempt, d.state, d.output, d.errors
      FROM awa.done_entries AS d
     WHERE d.ready_slot = p_slot AND d.pos <@ v_kept;
    RETURN awa.width(v_kept);
END
$$;
