-- SPDX-License-Identifier: MIT
-- Claim: hand runnable jobs of one lane to a worker. docs/engine.md section "Claim".

-- ---- One lane ------------------------------------------------------------------------------

-- Write the new head of a lane, with what is claimed: one row for each slot and deadline, or one row that
-- claims nothing if only the cursor or the gaps changed. Returns the id of the claim; NULL if there was
-- nothing to write.
CREATE OR REPLACE FUNCTION awa.write_claim(p_head awa.claims, p_found awa.lane_search,
        p_worker bigint, p_now timestamptz, p_deadline timestamptz)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_id bigint;
    v_gaps CONSTANT awa.gap_group[] := awa.bound_gaps((p_found).gaps, (p_head).lane_id); -- rule G6
    v_deadlines timestamptz[];
    v_own record;
    v_searched_at CONSTANT timestamptz := CASE WHEN (p_found).searched THEN p_now
                                               ELSE (p_head).gaps_searched_at END;
BEGIN
    IF (p_found).n = 0 AND v_gaps IS NOT DISTINCT FROM (p_head).gaps
       AND (p_found).cursor = (p_head).cursor THEN
        RETURN NULL;
    END IF;

    v_id := nextval('awa.claim_ids');
    IF (p_found).n = 0 THEN
        p_head.cursor := (p_found).cursor;
        p_head.gaps := v_gaps;
        p_head.gaps_searched_at := v_searched_at;
        p_head.claimed_at := p_now;
        PERFORM awa.write_head(p_head, v_id);
    ELSE
        v_deadlines := array_fill(p_deadline, ARRAY[cardinality((p_found).slots)]);
        IF (p_found).options THEN
            v_own := awa.own_deadlines(p_found, p_now, p_deadline);
            p_found := v_own.cut;
            v_deadlines := v_own.deadlines;
        END IF;
        INSERT INTO awa.claims (claim_id, worker_id, claimed_at, deadline_at, cursor,
               gaps_searched_at, lane_id, n, ready_slot, positions, gaps, options)
        SELECT v_id, p_worker, p_now, f.deadline, (p_found).cursor, v_searched_at,
               (p_head).lane_id, sum(f.n), f.slot, range_agg(f.run), v_gaps,
               nullif((p_found).options, false)
          FROM unnest((p_found).slots, (p_found).runs, (p_found).run_lengths, v_deadlines)
               AS f (slot, run, n, deadline)
         GROUP BY f.slot, f.deadline;
    END IF;
    RETURN v_id;
END
$$;

-- What was found, with its runs cut where jobs have deadlines of their own; and the deadline of each run.
CREATE OR REPLACE FUNCTION awa.own_deadlines(p_found awa.lane_search, p_now timestamptz,
        p_deadline timestamptz, OUT cut awa.lane_search, OUT deadlines timestamptz[])
LANGUAGE plpgsql
AS $$
DECLARE
    v_rest int8multirange;
    v_own record;
BEGIN
    cut := p_found;
    cut.slots := '{}';
    cut.runs := '{}';
    cut.run_lengths := '{}';
    cut.n := 0;
    FOR i IN 1 .. cardinality((p_found).slots) LOOP
        v_rest := (p_found).runs[i];
        FOR v_own IN
            SELECT awa.own_deadline(e.options, p_now, p_deadline) AS deadline,
                   range_agg(int8range(e.pos, e.pos + 1)) AS run, count(*) AS n
              FROM awa.ready_entries AS e
             WHERE e.ready_slot = (p_found).slots[i] AND e.options IS NOT NULL
               AND e.pos >= lower((p_found).runs[i]) AND e.pos < upper((p_found).runs[i])
               AND e.pos <@ (p_found).runs[i]
             GROUP BY 1
        LOOP
            cut := awa.add_run(cut, (p_found).slots[i], v_own.run, v_own.n, true);
            deadlines := deadlines || v_own.deadline;
            v_rest := v_rest - v_own.run;
        END LOOP;
        IF NOT isempty(v_rest) THEN
            cut := awa.add_run(cut, (p_found).slots[i], v_rest, awa.width(v_rest), true);
            deadlines := deadlines || p_deadline;
        END IF;
    END LOOP;
END
$$;

-- Claim from one lane. The caller holds the lane's lock. Returns NULL if there is nothing to look for.
CREATE OR REPLACE FUNCTION awa.claim_lane(p_worker bigint, p_lane awa.lanes, p_max int,
        p_max_bytes bigint, p_now timestamptz, p_deadline timestamptz)
RETURNS awa.lane_search
LANGUAGE plpgsql
AS $$
DECLARE
    v_head awa.claims;
    v_search awa.lane_search;
BEGIN
    v_head := awa.lane_head((p_lane).lane_id);
    IF NOT awa.head_may_have_work(p_lane, v_head) THEN
        RETURN NULL;
    END IF;
    v_search := awa.search_lane(p_lane, v_head, p_max, p_max_bytes, p_now);
    v_search.claim_id := awa.write_claim(v_head, v_search, p_worker, p_now, p_deadline);
    RETURN v_search;
END
$$;

-- Move the cursor of a lane on to p_last. The caller holds the lane's lock and has just withdrawn what
-- waits up to there. A position that is not withdrawn becomes a gap, so nothing is lost.
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
    v_passed.gaps := awa.with_gaps(v_head.gaps,
            int8multirange(int8range(v_head.cursor + 1, p_last + 1))
            - awa.find_withdrawn(v_head.cursor + 1, p_last + 1));
    v_passed.searched := false;
    PERFORM awa.write_claim(v_head, v_passed, 0, clock_timestamp(), NULL);
END
$$;

-- ---- One queue -----------------------------------------------------------------------------

-- The lanes of a queue in which there may be work, the best first: the lowest effective priority, then
-- the longest wait, then the lowest priority. The effective priority of a lane falls by one, to 1 at
-- least, for each aging interval for which its oldest entry has waited.
CREATE OR REPLACE FUNCTION awa.lanes_to_claim(p_queue text, p_aging interval, p_now timestamptz)
RETURNS SETOF awa.lanes
LANGUAGE plpgsql
AS $$
DECLARE
    v_lanes awa.lanes[];
BEGIN
    -- A single lane is not asked here: awa.claim_lane() asks it.
    SELECT array_agg(l) INTO v_lanes FROM awa.lanes AS l WHERE l.queue = p_queue AND NOT l.retired;
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

-- Since when the entry that a claim would look at first has waited; NULL if there is none. Looks into at
-- most ten gaps of which there is news, and above the cursor: what lies between them was claimed long
-- ago.
CREATE OR REPLACE FUNCTION awa.lane_waits_since(p_lane int)
RETURNS timestamptz
LANGUAGE plpgsql
AS $$
DECLARE
    v_head awa.claims := awa.lane_head(p_lane);
    v_window int8range;
    v_since timestamptz;
BEGIN
    FOR v_window IN
        (SELECT g FROM awa.fresh_gaps(v_head.gaps) AS n, unnest(n) AS g
          WHERE awa.width(n) < 1000 LIMIT 10)
        UNION ALL
        (SELECT int8range(v_head.cursor + 1, awa.last_position(l) + 1)
           FROM awa.lanes AS l
          WHERE l.lane_id = p_lane AND awa.last_position(l) > v_head.cursor)
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

-- Wait for the lock of a lane, for half a second at most: long transactions that claim from several lanes
-- could otherwise wait for each other in a circle. Returns whether the lock was obtained.
CREATE OR REPLACE FUNCTION awa.wait_for_lane(p_lane int)
RETURNS boolean
LANGUAGE plpgsql
SET lock_timeout = '500ms'
AS $$
BEGIN
    PERFORM awa.take_lane(p_lane);
    RETURN true;
EXCEPTION WHEN lock_not_available THEN
    RETURN false;
END
$$;

-- Claim from the first lane of a queue that has something to run and is not busy. Returns NULL, or a
-- search that found nothing, if none has.
CREATE OR REPLACE FUNCTION awa.claim_queue(p_worker bigint, p_queue text, p_aging interval, p_max int,
        p_max_bytes bigint, p_now timestamptz, p_deadline timestamptz)
RETURNS awa.lane_search
LANGUAGE plpgsql
AS $$
DECLARE
    v_lane awa.lanes;
    v_busy awa.lanes;
    v_held int;
    v_claim awa.lane_search;
BEGIN
    FOR v_lane IN SELECT l.* FROM awa.lanes_to_claim(p_queue, p_aging, p_now) AS l LOOP
        IF awa.try_lane(v_lane.lane_id) THEN
            v_claim := awa.claim_lane(p_worker, v_lane, p_max, p_max_bytes, p_now, p_deadline);
            EXIT WHEN v_claim.n > 0;
            v_held := greatest(v_held, v_lane.lane_id);
        ELSE
            v_busy := coalesce(v_busy, v_lane);
        END IF;
    END LOOP;
    -- Never wait for a lower lane than one that we hold: two that wait for each other's lane would wait
    -- in a circle. The transaction that holds the busy lane is about to claim from it, and a worker that
    -- got nothing soon looks again.
    IF v_claim.n > 0 IS NOT TRUE AND v_busy.lane_id > coalesce(v_held, 0) THEN
        IF NOT awa.wait_for_lane(v_busy.lane_id) THEN
            RETURN NULL;
        END IF;
        v_claim := awa.claim_lane(p_worker, v_busy, p_max, p_max_bytes, p_now, p_deadline);
    END IF;
    RETURN v_claim;
END
$$;

-- Claim up to p_max jobs of a queue for a worker. All of them come from one lane; the worker calls again
-- for more. Their arguments, as they are stored, have p_max_bytes at most, unless it is a single job.
-- Takes the lane's lock until commit. While another transaction holds a lane, the next lane is tried. If
-- no lane is left, the call waits for one, for half a second at most. Raises JQ001 in REPEATABLE READ and
-- SERIALIZABLE (rule G5), where it would read an old head.
-- An attempt is (p_worker, claim_id, pos). It ends by awa.complete_jobs(), awa.close_jobs() or
-- awa.complete_job(). The commit may be asynchronous: if a crash forgets a claim, it never was.
-- Door: hot.
CREATE OR REPLACE FUNCTION awa.claim_jobs(p_worker bigint, p_queue text, p_max int,
        p_now timestamptz DEFAULT clock_timestamp(), p_max_bytes bigint DEFAULT 16777216)
RETURNS TABLE (pos bigint, id bigint, claim_id bigint, ready_slot smallint, attempt smallint,
               max_attempts smallint, kind text, args jsonb, metadata jsonb, tags text[],
               enqueued_at timestamptz, deadline_at timestamptz)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
    v_worker bigint;
    v_queue record;
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
    IF p_max_bytes IS NULL OR p_max_bytes < 1 THEN
        RAISE EXCEPTION 'max_bytes: want 1 or more, got %', p_max_bytes USING ERRCODE = 'JQ001';
    END IF;
    v_worker := awa.enter_worker(p_worker);

    SELECT coalesce(q.deadline, s.deadline) AS deadline,
           coalesce(q.aging_interval, s.aging_interval) AS aging_interval, q.paused_at
      INTO v_queue
      FROM awa.settings AS s
      LEFT JOIN awa.queues AS q ON q.queue = p_queue;
    IF v_queue.paused_at IS NOT NULL THEN
        RETURN;
    END IF;
    v_deadline := p_now + nullif(v_queue.deadline, '0 s');

    v_claim := awa.claim_queue(v_worker, p_queue, v_queue.aging_interval, p_max, p_max_bytes, p_now,
            v_deadline);

    FOR i IN 1 .. coalesce(cardinality(v_claim.slots), 0) LOOP
        v_slot := v_claim.slots[i];
        v_run := v_claim.runs[i];
        v_first := lower(v_run);
        v_end := upper(v_run);
        -- Rule G4: return exactly what was recorded. This statement sees more than the one that recorded
        -- it.
        RETURN QUERY
            SELECT e.pos, e.id, v_claim.claim_id, e.ready_slot, (e.attempt + 1)::smallint,
                   e.max_attempts, e.kind, e.args, e.metadata, e.tags, e.enqueued_at,
                   awa.own_deadline(e.options, p_now, v_deadline)
              FROM awa.ready_entries AS e
             WHERE e.ready_slot = v_slot AND e.pos >= v_first AND e.pos < v_end
               AND e.pos <@ v_run
             ORDER BY e.pos;
    END LOOP;
END
$$;
