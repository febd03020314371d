-- SPDX-License-Identifier: MIT
-- Marks on positions: a closure ends an attempt, a tombstone withdraws an entry. Constraints on the marks
-- decide every race: between completion, rescue, cancel, and a repeated flush.

-- ---- Closures ------------------------------------------------------------------------------

-- Close those of p_positions that are not closed yet; all lie in one slot and lane. Waits for another
-- transaction that is closing some of them. Returns the positions that this call closed.
CREATE OR REPLACE FUNCTION awa.add_closure(p_slot smallint, p_lane int,
        p_positions int8multirange, p_outcome awa.outcome)
RETURNS int8multirange
LANGUAGE plpgsql
AS $$
DECLARE
    v_open int8multirange := p_positions;
BEGIN
    WHILE NOT isempty(v_open) LOOP
        INSERT INTO awa.closures (closed_at, lane_id, n, ready_slot, outcome, positions)
        VALUES (clock_timestamp(), p_lane, awa.width(v_open), p_slot, p_outcome, v_open)
            ON CONFLICT DO NOTHING;
        EXIT WHEN FOUND;
        v_open := v_open - awa.closed_positions(p_slot, v_open);
    END LOOP;
    RETURN v_open;
END
$$;

-- The closures of a slot that may have some of p_set, read in its windows: a closure can come once for
-- each window. Like a view, it has the snapshot of the statement that reads it.
CREATE OR REPLACE FUNCTION awa.closures_near(p_slot smallint, p_set int8multirange)
RETURNS SETOF awa.closures
LANGUAGE sql STABLE
AS $$
    SELECT k.*
      FROM awa.windows(p_set) AS w
     CROSS JOIN LATERAL (
            SELECT k.*
              FROM awa.closures AS k
             WHERE k.ready_slot = p_slot AND k.positions && w
            OFFSET 0) AS k
$$;

-- The closures of a slot that have some of p_set, each once.
CREATE OR REPLACE FUNCTION awa.touched_closures(p_slot smallint, p_set int8multirange)
RETURNS SETOF awa.closures
LANGUAGE sql STABLE
AS $$
    SELECT DISTINCT ON (lower(k.positions)) k.* -- a position has one closure in a slot
      FROM awa.closures_near(p_slot, p_set) AS k
     WHERE awa.touches(k.positions, p_set)
     ORDER BY lower(k.positions)
$$;

-- Those of p_positions that are closed in a slot.
CREATE OR REPLACE FUNCTION awa.closed_positions(p_slot smallint, p_positions int8multirange)
RETURNS int8multirange
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN (SELECT coalesce(range_agg(k.positions), '{}') * p_positions
              FROM awa.closures_near(p_slot, p_positions) AS k);
END
$$;

-- ---- The fence: what a claim of a worker holds ---------------------------------------------

-- The fence: those of p_positions that this claim of this worker holds in a slot; and whether the claim has
-- jobs with options.
CREATE OR REPLACE FUNCTION awa.held_positions(p_worker bigint, p_slot smallint, p_claim bigint,
        p_positions int8multirange, OUT positions int8multirange, OUT options boolean)
LANGUAGE plpgsql
AS $$
BEGIN
    SELECT coalesce(range_agg(c.positions), '{}') * p_positions, bool_or(c.options)
      INTO positions, options
      FROM awa.claims AS c
     WHERE c.ready_slot = p_slot
       AND c.lane_id = (lower(p_positions) >> 44)::int
       AND c.claim_id = p_claim
       AND c.worker_id = p_worker;
END
$$;

-- The claims of a slot that may have some of p_set; see awa.closures_near().
CREATE OR REPLACE FUNCTION awa.claims_near(p_slot smallint, p_set int8multirange)
RETURNS SETOF awa.claims
LANGUAGE sql STABLE
AS $$
    SELECT c.*
      FROM awa.windows(p_set) AS w
     CROSS JOIN LATERAL (
            SELECT c.*
              FROM awa.claims AS c
             WHERE c.ready_slot = p_slot AND c.positions && w
            OFFSET 0) AS c
$$;

-- Those of p_positions, all of one lane, that this claim of this worker holds and that are not closed, by
-- slot; and whether the claim has jobs with options. This is one statement, so it has one snapshot: it sees a position that is carried meanwhile in
-- one slot or in the other.
CREATE OR REPLACE FUNCTION awa.open_in_slots(p_worker bigint, p_claim bigint,
        p_positions int8multirange)
RETURNS TABLE (ready_slot smallint, positions int8multirange, options boolean)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
        SELECT o.*
          FROM (SELECT held.ready_slot,
                       held.positions - (SELECT coalesce(range_agg(k.positions), '{}')
                                           FROM awa.closures_near(held.ready_slot, held.positions)
                                             AS k) AS positions, held.options
                  FROM (SELECT c.ready_slot, range_agg(c.positions) * p_positions AS positions,
                               bool_or(c.options) AS options
                          FROM awa.claims AS c
                         WHERE c.lane_id = (lower(p_positions) >> 44)::int
                           AND c.claim_id = p_claim AND c.worker_id = p_worker
                         GROUP BY c.ready_slot) AS held) AS o
         WHERE NOT isempty(o.positions);
END
$$;

-- The positions that a worker holds and has not closed, by slot and lane. This is one statement, so it
-- has one snapshot: it sees a position that is carried meanwhile in one slot or in the other. It
-- calculates with sets, so its cost hardly depends on how much the worker has closed.
CREATE OR REPLACE FUNCTION awa.open_positions(p_worker bigint)
RETURNS TABLE (ready_slot smallint, lane_id int, positions int8multirange)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
        SELECT o.*
          FROM (SELECT held.ready_slot, held.lane_id,
                       held.positions - (SELECT coalesce(range_agg(k.positions), '{}')
                                           FROM awa.closures_near(held.ready_slot, held.positions)
                                             AS k) AS positions
                  FROM (SELECT c.ready_slot, c.lane_id, range_agg(c.positions) AS positions
                          FROM awa.claims AS c
                         WHERE c.worker_id = p_worker
                         GROUP BY c.ready_slot, c.lane_id) AS held) AS o
         WHERE NOT isempty(o.positions)
         ORDER BY o.ready_slot, o.lane_id;
END
$$;

-- Those of p_positions that no claim of p_claims by these workers holds open. It calculates with sets, so
-- that ten thousand attempts of as many claims cost two searches of indexes.
CREATE OR REPLACE FUNCTION awa.lost_positions(p_workers bigint[], p_claims bigint[],
        p_positions int8multirange[])
RETURNS int8multirange
LANGUAGE plpgsql
AS $$
DECLARE
    v_asked CONSTANT int8multirange := coalesce((SELECT range_agg(m) FROM unnest(p_positions) AS m), '{}');
BEGIN
    IF isempty(v_asked) THEN
        RETURN '{}';
    END IF;
    RETURN v_asked - (
        SELECT coalesce(range_agg(held.positions
                        - (SELECT coalesce(range_agg(k.positions), '{}')
                             FROM awa.closures_near(held.ready_slot, held.positions) AS k)), '{}')
          FROM (SELECT c.ready_slot, range_agg(c.positions) * v_asked AS positions
                  FROM awa.windows(v_asked) AS w
                 CROSS JOIN LATERAL (
                        SELECT c.ready_slot, c.positions, c.claim_id
                          FROM awa.claims AS c
                         WHERE c.positions && w AND c.worker_id = ANY (p_workers)
                        OFFSET 0) AS c
                 WHERE c.claim_id IN (SELECT unnest(p_claims)) -- hashed, unlike = ANY
                 GROUP BY c.ready_slot) AS held);
END
$$;

-- ---- Tombstones ----------------------------------------------------------------------------

-- Withdraw the entries of a slot at p_positions: no claim will take them. A tombstone also hides the
-- original of a carried entry. Returns the positions that this call withdrew.
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

-- ---- Taking back ---------------------------------------------------------------------------

-- Take terminal jobs of a slot out of history, because they are retried, moved, carried or removed. The
-- second mark of a position does that: a tombstone on a closure, or a closure on a tombstone. Its unique
-- index or exclusion constraint decides between two transactions that want the same job. Waits for
-- another transaction that is taking one of them. A transaction that takes several jobs takes them in
-- order of slot and position. Returns the positions that this call took.
CREATE OR REPLACE FUNCTION awa.take_back(p_slot smallint, p_positions int8multirange,
        p_reason awa.withdrawal)
RETURNS int8multirange
LANGUAGE plpgsql
AS $$
DECLARE
    v_closed int8multirange;
    v_withdrawn int8multirange;
    v_lane int;
    v_taken int8multirange;
    v_cancelled int8multirange := '{}';
BEGIN
    SELECT coalesce(range_agg(k.positions), '{}') * p_positions INTO v_closed
      FROM awa.closures_near(p_slot, p_positions) AS k
     WHERE k.outcome IN ('completed', 'failed', 'cancelled');
    SELECT coalesce(range_agg(int8range(t.pos, t.pos + 1)), '{}') INTO v_withdrawn
      FROM unnest(p_positions - v_closed) AS r
     CROSS JOIN LATERAL (
            SELECT t.pos
              FROM awa.ready_tombstones AS t
             WHERE t.ready_slot = p_slot AND t.pos >= lower(r) AND t.pos < upper(r)
               AND t.reason = 'cancelled') AS t;

    v_taken := awa.add_tombstones(p_slot, v_closed, p_reason);
    FOR v_lane IN SELECT DISTINCT l FROM unnest(v_withdrawn) AS r,
                         generate_series(lower(r) >> 44, (upper(r) - 1) >> 44) AS l ORDER BY l
    LOOP
        v_cancelled := v_cancelled + awa.add_closure(p_slot, v_lane, v_withdrawn * int8multirange(
                int8range(v_lane::bigint << 44, (v_lane + 1)::bigint << 44)), 'removed');
    END LOOP;
    PERFORM awa.count_taken(p_slot, v_taken, v_cancelled);
    RETURN v_taken + v_cancelled;
END
$$;

-- Write the deltas of jobs that were just taken back: one row for each lane. The jobs at p_closed have
-- closures, which say how they ended; those at p_withdrawn were cancelled before they ran.
CREATE OR REPLACE FUNCTION awa.count_taken(p_slot smallint, p_closed int8multirange,
        p_withdrawn int8multirange)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO awa.queue_terminal_count_deltas (lane_id, completed, failed, cancelled, ready_slot)
    SELECT t.lane_id, -coalesce(sum(t.n) FILTER (WHERE t.outcome = 'completed'), 0),
           -coalesce(sum(t.n) FILTER (WHERE t.outcome = 'failed'), 0),
           -coalesce(sum(t.n) FILTER (WHERE t.outcome = 'cancelled'), 0), p_slot
      FROM (SELECT k.lane_id, k.outcome, awa.width(awa.cut_to(k.positions, p_closed)) AS n
              FROM awa.touched_closures(p_slot, p_closed) AS k
            UNION ALL
            SELECT (lower(r) >> 44)::int, 'cancelled', upper(r) - lower(r)
              FROM unnest(p_withdrawn) AS r) AS t
     GROUP BY t.lane_id
     ORDER BY t.lane_id;
END
$$;
