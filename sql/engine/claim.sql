-- SPDX-License-Identifier: MIT
-- requires: worker
-- Claim: hand runnable jobs of one lane to a worker. docs/engine.md sections "Claim" and "Gaps"
-- explain the protocol; its rules G2 to G6 are marked where they are kept.

-- Where a lane stands: its newest claim. Read under the lane's lock, by a statement that began
-- after the lock was obtained: an older snapshot would hand out jobs twice.
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
        v_head.gaps_young := '{}';
        v_head.gaps_old := '{}';
    END IF;
    RETURN v_head;
END
$$;

-- Whether a claim could find something: positions were drawn beyond the cursor, or gaps are left.
-- Reads no entry.
CREATE OR REPLACE FUNCTION awa.head_may_have_work(p_lane awa.lanes, p_head awa.claims)
RETURNS boolean
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN coalesce(pg_sequence_last_value((p_lane).positions), 0) > (p_head).cursor
           OR NOT isempty((p_head).gaps_young) OR NOT isempty((p_head).gaps_old);
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

CREATE OR REPLACE FUNCTION awa.queue_may_have_work(p_queue text)
RETURNS boolean
LANGUAGE sql STABLE
RETURN EXISTS (SELECT 1 FROM awa.lanes AS l WHERE l.queue = p_queue AND awa.lane_may_have_work(l));

-- Visible entries in [p_from, p_to), without those that were withdrawn, in order, as runs: a slot
-- and positions in it between which no other slot has any. At most p_max positions, the lowest
-- ones. The bounds stand at each table, here and below: a merge join otherwise reads all that lies
-- before.
CREATE OR REPLACE FUNCTION awa.find_runs(p_from bigint, p_to bigint, p_max bigint)
RETURNS TABLE (ready_slot smallint, run int8multirange, n bigint)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT r.ready_slot, range_agg(int8range(r.pos, r.pos + 1)), count(*)
      FROM (SELECT e.ready_slot, e.pos,
                   row_number() OVER (ORDER BY e.pos)
                   - row_number() OVER (PARTITION BY e.ready_slot ORDER BY e.pos) AS turn
              FROM (SELECT e.ready_slot, e.pos
                      FROM awa.ready_entries AS e
                     WHERE e.pos >= p_from AND e.pos < p_to
                       AND NOT EXISTS (SELECT 1
                                         FROM awa.ready_tombstones AS t
                                        WHERE t.ready_slot = e.ready_slot AND t.pos = e.pos
                                          AND t.pos >= p_from AND t.pos < p_to)
                     ORDER BY e.pos
                     LIMIT p_max) AS e) AS r
     GROUP BY r.ready_slot, r.turn
     ORDER BY min(r.pos);
END
$$;

-- Positions in [p_from, p_to) whose entries are all withdrawn: nobody will ever claim them.
CREATE OR REPLACE FUNCTION awa.find_withdrawn(p_from bigint, p_to bigint)
RETURNS int8multirange
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN (SELECT coalesce(range_agg(int8range(t.pos, t.pos + 1)), '{}')
              FROM awa.ready_tombstones AS t
             WHERE t.pos >= p_from AND t.pos < p_to
               AND NOT EXISTS (
                   SELECT 1
                     FROM awa.ready_entries AS e
                    WHERE e.pos = t.pos AND e.pos >= p_from AND e.pos < p_to
                      AND NOT EXISTS (SELECT 1
                                        FROM awa.ready_tombstones AS o
                                       WHERE o.ready_slot = e.ready_slot AND o.pos = e.pos
                                         AND o.pos >= p_from AND o.pos < p_to)));
END
$$;

-- Look for late entries in the gaps of a search; what is found, or withdrawn, is no gap any more.
CREATE OR REPLACE FUNCTION awa.search_gaps(p_search awa.lane_search, p_max int)
RETURNS awa.lane_search
LANGUAGE plpgsql
AS $$
DECLARE
    v_result awa.lane_search := p_search;
    v_gap int8range;
    v_late int8multirange := '{}';
    v_found record;
BEGIN
    FOR v_gap IN SELECT g FROM unnest((p_search).gaps) AS g LOOP
        FOR v_found IN
            SELECT f.* FROM awa.find_runs(lower(v_gap), upper(v_gap), p_max - v_result.n) AS f
        LOOP
            v_result.slots := v_result.slots || v_found.ready_slot;
            v_result.runs := v_result.runs || v_found.run;
            v_result.run_lengths := v_result.run_lengths || v_found.n;
            v_late := v_late + v_found.run;
            v_result.n := v_result.n + v_found.n;
        END LOOP;
        v_late := v_late + awa.find_withdrawn(lower(v_gap), upper(v_gap));
        IF v_result.n >= p_max THEN
            v_result.complete := false; -- rule G3: cut by the limit, so not a complete search
            EXIT;
        END IF;
    END LOOP;
    v_result.gaps := v_result.gaps - v_late;
    RETURN v_result;
END
$$;

-- Look at a lane: late entries in its gaps first, then fresh ones above its cursor. While there is
-- enough that is fresh, gaps are searched every 20 ms only: one long transaction would otherwise
-- cost every claim a search. Wide gaps, which it leaves if it draws much, are searched even less
-- often: a millisecond of waiting for a thousand positions, a second at most.
CREATE OR REPLACE FUNCTION awa.search_lane(p_head awa.claims, p_max int, p_now timestamptz)
RETURNS awa.lane_search
LANGUAGE plpgsql
AS $$
DECLARE
    v_end bigint := ((p_head).lane_id::bigint + 1) << 44;
    v_gaps int8multirange := (p_head).gaps_young + (p_head).gaps_old;
    v_due timestamptz := coalesce((p_head).gaps_searched_at, '-infinity')
                         + least(awa.width(v_gaps), 1000000) * interval '1 microsecond';
    v_window int8range;
    v_found record;
    v_run int8multirange;
    v_taken int8multirange;
    v_unbroken boolean;
    v_step bigint;
    v_result awa.lane_search;
BEGIN
    v_result.slots := '{}';
    v_result.runs := '{}';
    v_result.run_lengths := '{}';
    v_result.n := 0;
    v_result.cursor := (p_head).cursor;
    v_result.gaps := v_gaps;
    v_result.complete := isempty(v_gaps);
    IF NOT v_result.complete AND p_now >= greatest(v_due, (p_head).gaps_searched_at
                                                          + interval '20 milliseconds') THEN
        v_result.complete := true;
        v_result := awa.search_gaps(v_result, p_max);
    END IF;

    -- Fresh entries above the cursor. The usual case, one unbroken run in one slot, needs no
    -- more than the ends and the number. Where all were withdrawn, on and on in longer steps; what
    -- such a step sees and does not take stays above the cursor, or younger jobs would overtake it.
    v_step := p_max - v_result.n;
    WHILE v_step > 0 LOOP
        SELECT min(e.pos) AS low, max(e.pos) AS high, count(*) AS n,
               min(e.ready_slot) AS slot, max(e.ready_slot) AS last_slot
          INTO v_found
          FROM (SELECT e.pos, e.ready_slot
                  FROM awa.ready_entries AS e
                 WHERE e.pos > v_result.cursor AND e.pos < v_end
                 ORDER BY e.pos
                 LIMIT v_step) AS e;
        EXIT WHEN v_found.n = 0;
        v_window := int8range(v_result.cursor + 1, v_found.high + 1);
        v_result.cursor := v_found.high;
        v_unbroken := v_found.n <= p_max - v_result.n
                      AND v_found.high - v_found.low + 1 = v_found.n
                      AND v_found.slot = v_found.last_slot;
        IF v_unbroken THEN
            PERFORM 1
               FROM awa.ready_tombstones AS t
              WHERE t.ready_slot = v_found.slot
                AND t.pos >= v_found.low AND t.pos <= v_found.high
              LIMIT 1;
            v_unbroken := NOT FOUND;
        END IF;
        IF v_unbroken THEN
            v_result.slots := v_result.slots || v_found.slot;
            v_run := int8multirange(int8range(v_found.low, v_found.high + 1));
            v_result.runs := v_result.runs || v_run;
            v_result.run_lengths := v_result.run_lengths || v_found.n;
            v_result.n := v_result.n + v_found.n;
            v_result.gaps := v_result.gaps + (int8multirange(v_window) - v_run);
        ELSE
            v_taken := '{}';
            FOR v_found IN
                SELECT f.*
                  FROM awa.find_runs(lower(v_window), upper(v_window), p_max - v_result.n) AS f
            LOOP
                v_result.slots := v_result.slots || v_found.ready_slot;
                v_result.runs := v_result.runs || v_found.run;
                v_result.run_lengths := v_result.run_lengths || v_found.n;
                v_taken := v_taken + v_found.run;
                v_result.n := v_result.n + v_found.n;
            END LOOP;
            IF v_result.n >= p_max THEN
                v_window := int8range(lower(v_window), upper(v_taken));
                v_result.cursor := upper(v_window) - 1;
            END IF;
            v_result.gaps := v_result.gaps + (int8multirange(v_window) - v_taken)
                             - awa.find_withdrawn(lower(v_window), upper(v_window));
        END IF;
        EXIT WHEN v_result.n > 0;
        v_step := least(10 * v_step, 10000);
    END LOOP;

    IF NOT v_result.complete AND v_result.n < p_max AND p_now >= v_due THEN
        v_result.complete := true;
        v_result := awa.search_gaps(v_result, p_max);
    END IF;
    RETURN v_result;
END
$$;

-- How many gaps a head carries at most; see sql/engine/gaps.sql.
CREATE OR REPLACE FUNCTION awa.max_head_gaps()
RETURNS int
LANGUAGE sql IMMUTABLE
RETURN 256;

-- Write the new head of a lane and what is claimed with it: one row per slot, or one row that
-- claims nothing if only the gaps changed. Returns the claim's id, NULL if there was nothing to
-- write.
-- Rule G2, two generations: when young gaps become old we write down our own transaction id,
-- which is larger than any id assigned so far (the snapshot's xmax is not: it is only the newest
-- *completed* id plus one). Once a snapshot's xmin has reached it, every transaction that could
-- own an old gap has ended; and the search of this same call, on a newer snapshot (rule G3), has
-- looked for its entry.
-- Rule G6, bounded: gaps beyond a number move to awa.lane_gaps.
CREATE OR REPLACE FUNCTION awa.write_claim(p_head awa.claims, p_found awa.lane_search, p_xmin xid8,
        p_worker bigint, p_now timestamptz, p_deadline timestamptz)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_id bigint;
    v_old int8multirange := (p_head).gaps_old * (p_found).gaps;
    v_young int8multirange := (p_found).gaps - ((p_head).gaps_old * (p_found).gaps);
    v_xid xid8 := (p_head).gaps_old_xid;
BEGIN
    IF pg_current_xact_id_if_assigned() IS NOT NULL THEN
        NULL; -- assigned earlier, so too small to be written down; another claim will do it
    ELSIF pg_column_size(v_young) + pg_column_size(v_old) > 16 * awa.max_head_gaps() THEN
        INSERT INTO awa.lane_gaps (lane_id, gaps, gaps_xid) -- rule G6
        VALUES ((p_head).lane_id, v_young + v_old, pg_current_xact_id());
        v_young := '{}';
        v_old := '{}';
        v_xid := NULL;
    ELSIF (p_found).complete AND NOT (isempty(v_young) AND isempty(v_old))
          AND (v_xid IS NULL OR p_xmin >= v_xid) THEN
        v_old := v_young;
        v_young := '{}';
        v_xid := pg_current_xact_id();
    END IF;
    IF (p_found).n = 0 AND v_young = (p_head).gaps_young AND v_old = (p_head).gaps_old
       AND (p_found).cursor = (p_head).cursor THEN
        RETURN NULL;
    END IF;

    v_id := nextval('awa.claim_ids');
    IF (p_found).n = 0 THEN
        INSERT INTO awa.claims (claim_id, worker_id, claimed_at, cursor, gaps_old_xid,
               gaps_searched_at, lane_id, n, ready_slot, positions, gaps_young, gaps_old)
        VALUES (v_id, 0, p_now, (p_found).cursor, v_xid,
                CASE WHEN (p_found).complete THEN p_now ELSE (p_head).gaps_searched_at END,
                (p_head).lane_id, 0, awa.current_slot(), '{}', v_young, v_old);
    ELSE
        INSERT INTO awa.claims (claim_id, worker_id, claimed_at, deadline_at, cursor, gaps_old_xid,
               gaps_searched_at, lane_id, n, ready_slot, positions, gaps_young, gaps_old)
        SELECT v_id, p_worker, p_now, p_deadline, (p_found).cursor, v_xid,
               CASE WHEN (p_found).complete THEN p_now ELSE (p_head).gaps_searched_at END,
               (p_head).lane_id, sum(f.n), f.slot, range_agg(f.run), v_young, v_old
          FROM unnest((p_found).slots, (p_found).runs, (p_found).run_lengths) AS f (slot, run, n)
         GROUP BY f.slot;
    END IF;
    RETURN v_id;
END
$$;

-- Claim from one lane, whose lock the caller holds. Returns NULL if there is nothing to look for.
CREATE OR REPLACE FUNCTION awa.claim_lane(p_worker bigint, p_lane awa.lanes, p_max int,
        p_now timestamptz, p_deadline timestamptz)
RETURNS awa.lane_search
LANGUAGE plpgsql
AS $$
DECLARE
    v_head awa.claims;
    v_xmin xid8;
    v_search awa.lane_search;
BEGIN
    v_head := awa.lane_head((p_lane).lane_id);
    IF NOT awa.head_may_have_work(p_lane, v_head) THEN
        RETURN NULL;
    END IF;
    v_xmin := pg_snapshot_xmin(pg_current_snapshot()); -- rule G3: before the search
    v_search := awa.search_lane(v_head, p_max, p_now);
    v_search.claim_id := awa.write_claim(v_head, v_search, v_xmin, p_worker, p_now, p_deadline);
    RETURN v_search;
END
$$;

-- Move the cursor of a lane, whose lock the caller holds, on to p_last; for those who have just
-- withdrawn what waits up to there. Whatever is not withdrawn becomes a gap, so nothing is lost.
CREATE OR REPLACE FUNCTION awa.pass_withdrawn(p_lane int, p_last bigint)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_head awa.claims := awa.lane_head(p_lane);
    v_passed awa.lane_search;
BEGIN
    IF p_last <= v_head.cursor THEN
        RETURN;
    END IF;
    v_passed.n := 0;
    v_passed.cursor := p_last;
    v_passed.gaps := v_head.gaps_young + v_head.gaps_old
                     + (int8multirange(int8range(v_head.cursor + 1, p_last + 1))
                        - awa.find_withdrawn(v_head.cursor + 1, p_last + 1));
    v_passed.complete := false; -- rule G3: no gap was searched
    PERFORM awa.write_claim(v_head, v_passed, pg_snapshot_xmin(pg_current_snapshot()), 0,
                            clock_timestamp(), NULL);
END
$$;

-- The lanes of a queue in which there may be work, best first: by effective priority, which
-- rises by one for each aging interval that the oldest entry has waited, then by age, then by
-- priority.
CREATE OR REPLACE FUNCTION awa.lanes_to_claim(p_queue text, p_aging interval, p_now timestamptz)
RETURNS SETOF awa.lanes
LANGUAGE plpgsql
AS $$
DECLARE
    v_lanes awa.lanes[];
BEGIN
    -- A queue with a single lane is not looked at twice.
    SELECT array_agg(l) INTO v_lanes FROM awa.lanes AS l WHERE l.queue = p_queue;
    IF cardinality(v_lanes) > 1 THEN
        SELECT array_agg(l) INTO v_lanes
          FROM unnest(v_lanes) AS l WHERE awa.lane_may_have_work(l);
    END IF;
    IF cardinality(v_lanes) = 1 THEN
        RETURN NEXT v_lanes[1];
        RETURN;
    END IF;
    RETURN QUERY
        SELECT (l).*
          FROM (SELECT l, awa.lane_waits_since(l.lane_id) AS since FROM unnest(v_lanes) AS l) AS w
         ORDER BY greatest(1, (w.l).priority - CASE
                      WHEN p_aging > '0 s' AND w.since IS NOT NULL
                      THEN floor(extract(epoch FROM p_now - w.since) / extract(epoch FROM p_aging))
                      ELSE 0 END),
                  w.since, (w.l).priority, (w.l).lane_id;
END
$$;

-- Since when the oldest entry that a claim would look at first has waited; NULL if none is seen.
-- Looks into the gaps one by one, the first few of them: what lies between was claimed long ago.
CREATE OR REPLACE FUNCTION awa.lane_waits_since(p_lane int)
RETURNS timestamptz
LANGUAGE plpgsql
AS $$
DECLARE
    v_head awa.claims := awa.lane_head(p_lane);
    v_gaps int8multirange := v_head.gaps_old + v_head.gaps_young;
    v_window int8range;
    v_since timestamptz;
BEGIN
    FOR v_window IN
        (SELECT g FROM unnest(v_gaps) AS g WHERE awa.width(v_gaps) < 1000 LIMIT 10)
        UNION ALL
        (SELECT int8range(v_head.cursor + 1, (p_lane::bigint + 1) << 44))
    LOOP
        SELECT e.enqueued_at INTO v_since
          FROM awa.ready_entries AS e
         WHERE e.pos >= lower(v_window) AND e.pos < upper(v_window)
         ORDER BY e.pos
         LIMIT 1;
        EXIT WHEN FOUND;
    END LOOP;
    RETURN v_since;
END
$$;

-- Wait for the lock of a lane, but not for ever: whoever claims in long transactions, from several
-- lanes, would wait in a circle. Returns whether it was obtained.
CREATE OR REPLACE FUNCTION awa.wait_for_lane(p_lane int)
RETURNS boolean
LANGUAGE plpgsql
SET lock_timeout = '500ms'
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(awa.lock_class('lane'), p_lane);
    RETURN true;
EXCEPTION WHEN lock_not_available THEN
    RETURN false;
END
$$;

-- Claim up to p_max jobs of a queue for a worker. All come from one lane; call again for more.
-- Takes the lane's lock until commit; while another claims from the lane, the next one is tried,
-- and only if none is left does it wait, half a second at most. Refuses to run in REPEATABLE READ
-- or SERIALIZABLE (rule G5): it would read an old head.
-- An attempt is (p_worker, claim_id, pos), and ends by awa.complete_jobs(), awa.close_jobs() or
-- awa.complete_job(). The commit may be asynchronous: a claim that a crash forgets never was.
CREATE OR REPLACE FUNCTION awa.claim_jobs(p_worker bigint, p_queue text, p_max int,
        p_now timestamptz DEFAULT clock_timestamp())
RETURNS TABLE (pos bigint, id bigint, claim_id bigint, ready_slot smallint, attempt smallint,
               max_attempts smallint, kind text, args jsonb, metadata jsonb, tags text[],
               enqueued_at timestamptz, deadline_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
SET max_parallel_workers_per_gather = 0
SET enable_seqscan = off
SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    v_queue record;
    v_lane awa.lanes;
    v_busy awa.lanes;
    v_held int;
    v_claim awa.lane_search;
    v_deadline timestamptz;
    v_slot smallint;
    v_run int8multirange;
    v_first bigint;
    v_end bigint;
BEGIN
    PERFORM awa.require_read_committed('claim'); -- rule G5
    IF p_max IS NULL OR p_max NOT BETWEEN 1 AND 10000 THEN
        RAISE EXCEPTION 'max: want 1 to 10000, got %', p_max USING ERRCODE = 'JQ001';
    END IF;
    PERFORM awa.enter_worker(p_worker);

    SELECT coalesce(q.deadline, s.deadline) AS deadline,
           coalesce(q.aging_interval, s.aging_interval) AS aging_interval, q.paused_at
      INTO v_queue
      FROM awa.settings AS s
      LEFT JOIN awa.queues AS q ON q.queue = p_queue;
    IF v_queue.paused_at IS NOT NULL THEN
        RETURN;
    END IF;
    v_deadline := p_now + nullif(v_queue.deadline, '0 s');

    FOR v_lane IN SELECT l.* FROM awa.lanes_to_claim(p_queue, v_queue.aging_interval, p_now) AS l
    LOOP
        IF pg_try_advisory_xact_lock(awa.lock_class('lane'), v_lane.lane_id) THEN
            v_claim := awa.claim_lane(p_worker, v_lane, p_max, p_now, v_deadline);
            EXIT WHEN v_claim.n > 0;
            v_held := greatest(v_held, v_lane.lane_id);
        ELSE
            v_busy := coalesce(v_busy, v_lane);
        END IF;
    END LOOP;
    -- Never for a lower lane than one that is held: two would wait in a circle. Who has it is about
    -- to claim from it, and a worker that got nothing soon looks again.
    IF v_claim.n > 0 IS NOT TRUE AND v_busy.lane_id > coalesce(v_held, 0) THEN
        IF NOT awa.wait_for_lane(v_busy.lane_id) THEN
            RETURN;
        END IF;
        v_claim := awa.claim_lane(p_worker, v_busy, p_max, p_now, v_deadline);
    END IF;

    FOR i IN 1 .. coalesce(cardinality(v_claim.slots), 0) LOOP
        v_slot := v_claim.slots[i];
        v_run := v_claim.runs[i];
        v_first := lower(v_run);
        v_end := upper(v_run);
        -- Rule G4: exactly what was recorded; a statement sees more than the one before it.
        RETURN QUERY
            SELECT e.pos, e.id, v_claim.claim_id, e.ready_slot, (e.attempt + 1)::smallint,
                   e.max_attempts, e.kind, e.args, e.metadata, e.tags, e.enqueued_at, v_deadline
              FROM awa.ready_entries AS e
             WHERE e.ready_slot = v_slot AND e.pos >= v_first AND e.pos < v_end
               AND e.pos <@ v_run
             ORDER BY e.pos;
    END LOOP;
END
$$;
