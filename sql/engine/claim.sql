-- SPDX-License-Identifier: MIT
-- requires: worker
-- requires: gaps
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
    END IF;
    RETURN v_head;
END
$$;

-- Write a head of a lane that claims nothing: p_head as it is, under p_claim.
CREATE OR REPLACE FUNCTION awa.write_head(p_head awa.claims, p_claim bigint)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO awa.claims (claim_id, worker_id, claimed_at, cursor, gaps_searched_at, lane_id, n,
           ready_slot, positions, gaps)
    VALUES (p_claim, 0, coalesce((p_head).claimed_at, clock_timestamp()), (p_head).cursor,
            (p_head).gaps_searched_at, (p_head).lane_id, 0, awa.current_slot(), '{}',
            (p_head).gaps);
END
$$;

-- Whether a claim could find something: positions were drawn beyond the cursor, by whatever lane
-- shares the sequence, or there is news of a gap. Reads no entry.
CREATE OR REPLACE FUNCTION awa.head_may_have_work(p_lane awa.lanes, p_head awa.claims)
RETURNS boolean
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN awa.last_position(p_lane) > (p_head).cursor OR awa.gaps_have_news((p_head).gaps);
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

-- Whether a lane has an entry above its cursor, or news of a gap.
CREATE OR REPLACE FUNCTION awa.lane_has_work(p_lane awa.lanes)
RETURNS boolean
LANGUAGE plpgsql
AS $$
DECLARE
    v_head awa.claims := awa.lane_head((p_lane).lane_id);
    v_last CONSTANT bigint := awa.last_position(p_lane);
BEGIN
    IF v_last <= v_head.cursor THEN -- as most often; it begins no query
        RETURN awa.gaps_have_news(v_head.gaps);
    END IF;
    RETURN awa.gaps_have_news(v_head.gaps)
           OR EXISTS (SELECT 1 FROM awa.ready_entries AS e
                       WHERE e.pos > v_head.cursor AND e.pos <= v_last);
END
$$;

CREATE OR REPLACE FUNCTION awa.queue_has_work(p_queue text)
RETURNS boolean
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN EXISTS (SELECT 1 FROM awa.lanes AS l
                    WHERE l.queue = p_queue AND NOT l.retired AND awa.lane_has_work(l));
END
$$;

-- Visible entries in [p_from, p_to), without those that were withdrawn, in order, as runs: a slot
-- and positions in it between which no other slot has any. At most p_max positions, the lowest
-- ones; of p_within only, unless that is NULL. The bounds stand at each table, here and below: a
-- merge join otherwise reads all that lies before.
CREATE OR REPLACE FUNCTION awa.find_runs(p_from bigint, p_to bigint, p_max bigint,
        p_within int8multirange DEFAULT NULL)
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
                       AND (p_within IS NULL OR e.pos <@ p_within)
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

-- Positions in [p_from, p_to), and of p_within unless that is NULL, whose entries are all withdrawn:
-- nobody will ever claim them.
CREATE OR REPLACE FUNCTION awa.find_withdrawn(p_from bigint, p_to bigint,
        p_within int8multirange DEFAULT NULL)
RETURNS int8multirange
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN (SELECT coalesce(range_agg(int8range(t.pos, t.pos + 1)), '{}')
              FROM awa.ready_tombstones AS t
             WHERE t.pos >= p_from AND t.pos < p_to AND (p_within IS NULL OR t.pos <@ p_within)
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

-- Add what was found to a search.
CREATE OR REPLACE FUNCTION awa.add_run(p_search awa.lane_search, p_slot smallint,
        p_run int8multirange, p_n bigint)
RETURNS awa.lane_search
LANGUAGE plpgsql
AS $$
BEGIN
    p_search.slots := (p_search).slots || p_slot;
    p_search.runs := (p_search).runs || p_run;
    p_search.run_lengths := (p_search).run_lengths || p_n;
    p_search.n := (p_search).n + p_n;
    RETURN p_search;
END
$$;

-- How many of the entries at these positions, from the lowest on and p_max at most, have p_max_bytes of
-- arguments together, as they are stored; but at least one, and p_max if all fit. And how many bytes
-- those have.
CREATE OR REPLACE FUNCTION awa.fitting(p_within int8multirange, p_max bigint, p_max_bytes bigint,
        OUT n bigint, OUT bytes bigint)
LANGUAGE plpgsql
AS $$
BEGIN
    SELECT CASE WHEN bool_and(f.bytes <= p_max_bytes) IS NOT FALSE THEN p_max
                ELSE greatest(1, count(*) FILTER (WHERE f.bytes <= p_max_bytes)) END,
           coalesce(max(f.bytes) FILTER (WHERE f.bytes <= p_max_bytes), min(f.bytes), 0)
      INTO n, bytes
      FROM (SELECT sum(e.bytes) OVER (ORDER BY e.pos) AS bytes
              FROM (SELECT e.pos, pg_column_size(e.args) AS bytes
                      FROM awa.windows(p_within) AS w
                     CROSS JOIN LATERAL (
                            SELECT e.pos, e.args
                              FROM awa.ready_entries AS e
                             WHERE e.pos >= lower(w) AND e.pos < upper(w) AND e.pos <@ p_within
                             ORDER BY e.pos
                             LIMIT p_max) AS e) AS e) AS f;
END
$$;

-- Look for late entries in those gaps of which there is news, at most p_max, with p_max_bytes; what is
-- found, or withdrawn, is no gap any more, and neither is what can have no owner.
CREATE OR REPLACE FUNCTION awa.search_gaps(p_search awa.lane_search, p_lane int, p_max bigint,
        p_max_bytes bigint)
RETURNS awa.lane_search
LANGUAGE plpgsql
AS $$
DECLARE
    v_result awa.lane_search := p_search;
    v_asked CONSTANT awa.gap_group[] := awa.ask_owners((p_search).gaps, p_lane); -- rule G3
    v_news CONSTANT int8multirange := awa.news((p_search).gaps, v_asked);
    v_max bigint;
    v_window int8range;
    v_found record;
    v_late int8multirange := '{}';
BEGIN
    SELECT least(p_max, f.n), f.bytes INTO v_max, v_result.bytes
      FROM awa.fitting(v_news, p_max, p_max_bytes) AS f;
    FOR v_window IN SELECT w FROM awa.windows(v_news) AS w LOOP
        FOR v_found IN SELECT f.* FROM awa.find_runs(lower(v_window), upper(v_window),
                                                     v_max - v_result.n, v_news) AS f
        LOOP
            v_result := awa.add_run(v_result, v_found.ready_slot, v_found.run, v_found.n);
            v_late := v_late + v_found.run;
        END LOOP;
        v_late := v_late + awa.find_withdrawn(lower(v_window), upper(v_window), v_news);
        IF v_result.n >= v_max THEN -- rule G3: cut by the limit, so the owners stay
            v_result.gaps := awa.without_gaps((p_search).gaps, v_late);
            RETURN v_result;
        END IF;
    END LOOP;
    v_result.gaps := awa.without_gaps(v_asked, v_late);
    v_result.searched := true;
    RETURN v_result;
END
$$;

-- Look at a lane: late entries in its gaps first, then fresh ones above its cursor, at most p_max,
-- and so many that their arguments, as they are stored, have p_max_bytes at most, but at least one.
-- While there is enough that is fresh, gaps are searched every 10 ms at most; see awa.gaps_have_news().
-- No further than positions were handed out: an entry that came there by COPY would carry the cursor
-- along, and what is inserted later would lie below it, as gaps that nobody owns.
CREATE OR REPLACE FUNCTION awa.search_lane(p_lane awa.lanes, p_head awa.claims, p_max int,
        p_max_bytes bigint, p_now timestamptz)
RETURNS awa.lane_search
LANGUAGE plpgsql
AS $$
DECLARE
    v_end CONSTANT bigint := awa.last_position(p_lane) + 1;
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
    v_result.gaps := (p_head).gaps;
    v_result.searched := false;
    v_result.bytes := 0;
    IF v_result.gaps IS NOT NULL
       AND (p_now - (p_head).gaps_searched_at BETWEEN '0 s' AND '10 ms') IS NOT TRUE
       AND awa.gaps_have_news(v_result.gaps) THEN
        v_result := awa.search_gaps(v_result, (p_head).lane_id, p_max, p_max_bytes);
    END IF;

    -- Fresh entries above the cursor. The usual case, one unbroken run in one slot, needs no
    -- more than the ends and the number. Where all were withdrawn, on and on in longer steps; what
    -- such a step sees and does not take stays above the cursor, or younger jobs would overtake it.
    v_step := CASE WHEN v_result.bytes < p_max_bytes THEN p_max - v_result.n END;
    WHILE v_step > 0 LOOP
        SELECT min(e.pos) AS low, max(e.pos) AS high, count(*) AS n,
               min(e.ready_slot) AS slot, max(e.ready_slot) AS last_slot, sum(e.bytes) AS bytes
          INTO v_found
          FROM (SELECT e.pos, e.ready_slot, pg_column_size(e.args) AS bytes
                  FROM awa.ready_entries AS e
                 WHERE e.pos > v_result.cursor AND e.pos < v_end
                 ORDER BY e.pos
                 LIMIT v_step) AS e;
        EXIT WHEN v_found.n = 0;
        IF v_found.bytes > p_max_bytes - v_result.bytes AND v_found.n + v_result.n > 1 THEN
            v_step := greatest(CASE WHEN v_result.n = 0 THEN 1 ELSE 0 END,
                               least(v_found.n / 2, v_found.n * (p_max_bytes - v_result.bytes)
                                                    / v_found.bytes));
            CONTINUE;
        END IF;
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
            v_run := int8multirange(int8range(v_found.low, v_found.high + 1));
            v_result := awa.add_run(v_result, v_found.slot, v_run, v_found.n);
            v_result.gaps := awa.with_gaps(v_result.gaps, int8multirange(v_window) - v_run);
        ELSE
            v_taken := '{}';
            FOR v_found IN
                SELECT f.*
                  FROM awa.find_runs(lower(v_window), upper(v_window), p_max - v_result.n) AS f
            LOOP
                v_result := awa.add_run(v_result, v_found.ready_slot, v_found.run, v_found.n);
                v_taken := v_taken + v_found.run;
            END LOOP;
            IF v_result.n >= p_max THEN
                v_window := int8range(lower(v_window), upper(v_taken));
                v_result.cursor := upper(v_window) - 1;
            END IF;
            v_result.gaps := awa.with_gaps(v_result.gaps, int8multirange(v_window) - v_taken
                                           - awa.find_withdrawn(lower(v_window), upper(v_window)));
        END IF;
        EXIT WHEN v_result.n > 0;
        v_step := least(10 * v_step, 10000);
    END LOOP;
    IF v_result.n = 0 AND NOT v_result.searched AND awa.gaps_have_news(v_result.gaps) THEN
        v_result := awa.search_gaps(v_result, (p_head).lane_id, p_max, p_max_bytes);
    END IF;
    RETURN v_result;
END
$$;

-- Write the new head of a lane and what is claimed with it: one row per slot, or one row that
-- claims nothing if only the gaps changed. Returns the claim's id, NULL if there was nothing to
-- write.
CREATE OR REPLACE FUNCTION awa.write_claim(p_head awa.claims, p_found awa.lane_search,
        p_worker bigint, p_now timestamptz, p_deadline timestamptz)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_id bigint;
    v_gaps CONSTANT awa.gap_group[] := awa.bound_gaps((p_found).gaps, (p_head).lane_id); -- rule G6
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
        INSERT INTO awa.claims (claim_id, worker_id, claimed_at, deadline_at, cursor,
               gaps_searched_at, lane_id, n, ready_slot, positions, gaps)
        SELECT v_id, p_worker, p_now, p_deadline, (p_found).cursor, v_searched_at,
               (p_head).lane_id, sum(f.n), f.slot, range_agg(f.run), v_gaps
          FROM unnest((p_found).slots, (p_found).runs, (p_found).run_lengths) AS f (slot, run, n)
         GROUP BY f.slot;
    END IF;
    RETURN v_id;
END
$$;

-- Claim from one lane, whose lock the caller holds. Returns NULL if there is nothing to look for.
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
    v_passed.gaps := awa.with_gaps(v_head.gaps,
            int8multirange(int8range(v_head.cursor + 1, p_last + 1))
            - awa.find_withdrawn(v_head.cursor + 1, p_last + 1));
    v_passed.searched := false;
    PERFORM awa.write_claim(v_head, v_passed, 0, clock_timestamp(), NULL);
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

-- Since when the oldest entry that a claim would look at first has waited; NULL if none is seen.
-- Looks into a few gaps of which there is news: what lies between was claimed long ago.
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

-- Wait for the lock of a lane, but not for ever: whoever claims in long transactions, from several
-- lanes, would wait in a circle. Returns whether it was obtained.
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

-- Claim up to p_max jobs of a queue for a worker. All come from one lane; call again for more. As they
-- are stored, their arguments have p_max_bytes at most, unless it is a single one.
-- Takes the lane's lock until commit; while another claims from the lane, the next one is tried,
-- and only if none is left does it wait, half a second at most. Refuses to run in REPEATABLE READ
-- or SERIALIZABLE (rule G5): it would read an old head.
-- An attempt is (p_worker, claim_id, pos), and ends by awa.complete_jobs(), awa.close_jobs() or
-- awa.complete_job(). The commit may be asynchronous: a claim that a crash forgets never was.
CREATE OR REPLACE FUNCTION awa.claim_jobs(p_worker bigint, p_queue text, p_max int,
        p_now timestamptz DEFAULT clock_timestamp(), p_max_bytes bigint DEFAULT 16777216)
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
    v_worker bigint;
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

    FOR v_lane IN SELECT l.* FROM awa.lanes_to_claim(p_queue, v_queue.aging_interval, p_now) AS l
    LOOP
        IF awa.try_lane(v_lane.lane_id) THEN
            v_claim := awa.claim_lane(v_worker, v_lane, p_max, p_max_bytes, p_now, v_deadline);
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
        v_claim := awa.claim_lane(v_worker, v_busy, p_max, p_max_bytes, p_now, v_deadline);
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
