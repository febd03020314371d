-- SPDX-License-Identifier: MIT
-- Close: end attempts. An attempt ends when its position is inserted into closures. A worker may close
-- the positions that one of its claims holds.

-- ---- What follows --------------------------------------------------------------------------

-- Do what follows from the outcomes of p_rows, whose positions this transaction has closed. A terminal
-- job gets a done entry; a dead-lettered one becomes a dead letter; every other job lives on as a
-- deferred job or as a new entry. (awa.complete_jobs() does not call this: its jobs have nothing to
-- tell.)
CREATE OR REPLACE FUNCTION awa.apply_ends(p_rows awa.closing[])
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
    v_again awa.new_job[];
    v_retryable awa.new_job[];
    v_scheduled awa.new_job[];
BEGIN
    INSERT INTO awa.done_entries (pos, id, finalized_at, ready_slot, attempt, state, output, errors)
    SELECT r.pos, e.id, v_now, r.ready_slot, r.attempt, r.outcome::text::awa.job_state, r.output,
           awa.errors_after(e.errors, r)
      FROM unnest(p_rows) AS r
     CROSS JOIN LATERAL (SELECT e.*
                           FROM awa.ready_entries AS e
                          WHERE e.ready_slot = r.ready_slot AND e.pos = r.pos
                          LIMIT 1) AS e
     WHERE r.outcome IN ('completed', 'failed', 'cancelled');
    IF EXISTS (SELECT 1 FROM unnest(p_rows) AS r WHERE r.outcome = 'dead_lettered') THEN
        PERFORM awa.bury(array_agg(r), v_now)
           FROM unnest(p_rows) AS r WHERE r.outcome = 'dead_lettered';
    END IF;

    SELECT array_agg(j.job ORDER BY j.pos) FILTER (WHERE (j.job).run_at IS NULL),
           array_agg(j.job ORDER BY j.pos) FILTER (WHERE (j.job).run_at IS NOT NULL AND NOT j.given_back),
           array_agg(j.job ORDER BY j.pos) FILTER (WHERE (j.job).run_at IS NOT NULL AND j.given_back)
      INTO v_again, v_retryable, v_scheduled
      FROM (SELECT r.pos, awa.attempts_used(r.outcome) = 0 AS given_back,
                   awa.job_of_entry(row_number() OVER (ORDER BY r.pos), e.entry, l, r.attempt,
                                    awa.errors_after((e.entry).errors, r), r.run_at,
                                    r.keep_age) AS job
              FROM unnest(p_rows) AS r
             CROSS JOIN LATERAL (SELECT e AS entry
                                   FROM awa.ready_entries AS e
                                  WHERE e.ready_slot = r.ready_slot AND e.pos = r.pos
                                  LIMIT 1) AS e
              JOIN awa.lanes AS l ON l.lane_id = (r.pos >> 44)::int
             WHERE r.outcome IN ('retried', 'snoozed', 'released', 'rescued', 'expired')) AS j;
    IF v_retryable IS NOT NULL THEN
        PERFORM awa.add_deferred(v_retryable, 'retryable');
    END IF;
    IF v_scheduled IS NOT NULL THEN
        PERFORM awa.add_deferred(v_scheduled, 'scheduled');
    END IF;
    IF v_again IS NOT NULL THEN
        PERFORM awa.add_entries(v_again);
    END IF;
END
$$;

-- Turn the outcome failed into dead_lettered for jobs of queues whose dead-letter queue is on.
CREATE OR REPLACE FUNCTION awa.route_failed(p_rows awa.closing[])
RETURNS awa.closing[]
LANGUAGE plpgsql
AS $$
DECLARE
    v_rows awa.closing[] := p_rows;
    v_lanes int[];
BEGIN
    SELECT coalesce(array_agg(l.lane_id), '{}') INTO v_lanes
      FROM (SELECT DISTINCT (r.pos >> 44)::int AS lane_id
              FROM unnest(p_rows) AS r WHERE r.outcome = 'failed') AS f
      JOIN awa.lanes AS l ON l.lane_id = f.lane_id
     CROSS JOIN awa.settings AS s
      LEFT JOIN awa.queues AS q ON q.queue = l.queue
     WHERE coalesce(q.dlq_enabled, s.dlq_enabled);
    FOR i IN 1 .. coalesce(cardinality(v_rows), 0) LOOP
        EXIT WHEN cardinality(v_lanes) = 0;
        IF v_rows[i].outcome = 'failed' AND (v_rows[i].pos >> 44)::int = ANY (v_lanes) THEN
            v_rows[i].outcome := 'dead_lettered';
        END IF;
    END LOOP;
    RETURN v_rows;
END
$$;

-- Close the positions of p_rows, and write what follows for those that this call closed. Returns those.
CREATE OR REPLACE FUNCTION awa.close_and_apply(p_rows awa.closing[])
RETURNS int8multirange
LANGUAGE plpgsql
AS $$
DECLARE
    v_rows awa.closing[] := awa.route_failed(p_rows);
    v_group record;
    v_done int8multirange := '{}';
BEGIN
    FOR v_group IN
        SELECT r.ready_slot, (r.pos >> 44)::int AS lane, r.outcome,
               range_agg(int8range(r.pos, r.pos + 1)) AS positions
          FROM unnest(v_rows) AS r
         GROUP BY 1, 2, 3
         ORDER BY 1, 2, 3
    LOOP
        v_done := v_done + awa.add_closure(v_group.ready_slot, v_group.lane, v_group.positions,
                                           v_group.outcome);
    END LOOP;
    IF NOT isempty(v_done) THEN
        PERFORM awa.apply_ends(awa.follow_rows(array_agg(r)))
           FROM unnest(v_rows) AS r WHERE v_done @> r.pos;
    END IF;
    RETURN v_done;
END
$$;

-- End jobs of one lane that nobody runs: withdraw their entries, and write done entries that say so. The
-- caller holds the lane's lock, or has just inserted the entries. Returns how many jobs there were.
CREATE OR REPLACE FUNCTION awa.withdraw_cancelled(p_slot smallint, p_positions int8multirange,
        p_reason text)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_withdrawn int8multirange := awa.add_tombstones(p_slot, p_positions, 'cancelled');
    v_n bigint := awa.width(v_withdrawn);
    v_now timestamptz := clock_timestamp();
BEGIN
    IF v_n = 0 THEN
        RETURN 0;
    END IF;
    PERFORM awa.apply_ends(awa.follow_rows(array_agg(
                awa.terminal(p_slot, e.pos, 'cancelled', e.id, e.attempt,
                             awa.error_entry(e.attempt, p_reason, 'cancelled', v_now)))))
       FROM unnest(v_withdrawn) AS r
      CROSS JOIN LATERAL (
            SELECT e.*
              FROM awa.ready_entries AS e
             WHERE e.ready_slot = p_slot AND e.pos >= lower(r) AND e.pos < upper(r)
             ORDER BY e.pos) AS e;
    INSERT INTO awa.queue_terminal_count_deltas (lane_id, cancelled, ready_slot)
    VALUES ((lower(v_withdrawn) >> 44)::int, v_n, p_slot);
    RETURN v_n;
END
$$;

-- ---- Completed, and nothing to tell --------------------------------------------------------

-- Insert what follows from positions of a slot and lane that this transaction has closed as completed: of
-- some hundreds at a time, because their arguments are in memory.
CREATE OR REPLACE FUNCTION awa.follow_completed(p_slot smallint, p_positions int8multirange)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_few CONSTANT int := 500;
    v_some int8multirange;
BEGIN
    FOR v_some IN
        SELECT range_agg(q.piece)
          FROM (SELECT q.piece, sum(upper(q.piece) - lower(q.piece)) OVER (ORDER BY q.piece) AS n
                  FROM unnest(p_positions) AS r
                 CROSS JOIN LATERAL generate_series(lower(r), upper(r) - 1, v_few) AS p
                 CROSS JOIN LATERAL (SELECT int8range(p, least(p + v_few, upper(r))) AS piece) AS q) AS q
         GROUP BY (q.n - 1)::bigint / v_few
         ORDER BY (q.n - 1)::bigint / v_few
    LOOP
        PERFORM awa.follow_some(p_slot, awa.parents_at(p_slot, v_some));
    END LOOP;
END
$$;

-- The same for those of one slot from which something follows; NULL: none. What could not follow makes a done
-- entry.
CREATE OR REPLACE FUNCTION awa.follow_some(p_slot smallint, p_parents awa.parent[])
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_rows awa.closing[];
BEGIN
    IF p_parents IS NULL THEN
        RETURN;
    END IF;
    SELECT array_agg(awa.terminal(p_slot, e.pos, 'completed', e.id, e.attempt + 1,
                                  p_skipped => s.skipped)) INTO v_rows
      FROM (SELECT f.pos, jsonb_agg(f.skipped) AS skipped
              FROM awa.follow(p_parents) AS f GROUP BY f.pos) AS s
     CROSS JOIN LATERAL (SELECT e.pos, e.id, e.attempt
                           FROM awa.ready_entries AS e
                          WHERE e.ready_slot = p_slot AND e.pos = s.pos
                          LIMIT 1) AS e;
    IF v_rows IS NOT NULL THEN
        PERFORM awa.apply_ends(v_rows);
    END IF;
END
$$;

-- Complete jobs that have no result but that they are done. For each of its claims the worker sends
-- positions of one lane. Positions that lie between them may be included: only those that the claim holds
-- count. Several claims of one slot and lane become one row.
-- Locks: none of its own. Returns the positions that this call closed. The rest of what the claims held
-- is stale: somebody else has ended those attempts. A repeated call closes nothing.
-- Door: hot.
CREATE OR REPLACE FUNCTION awa.complete_jobs(p_worker bigint, p_slots smallint[],
        p_claims bigint[], p_positions int8multirange[])
RETURNS int8multirange
LANGUAGE plpgsql
AS $$
DECLARE
    v_worker CONSTANT bigint := awa.worker_number(p_worker);
    v_rules CONSTANT boolean := awa.rules_for_completed();
    v_group record;
    v_closed int8multirange;
    v_done int8multirange := '{}';
    v_rest int8multirange;
BEGIN
    PERFORM awa.check_length('slots', p_slots, cardinality(p_claims)),
            awa.check_length('positions', p_positions, cardinality(p_claims)),
            awa.require_durable();
    FOR v_group IN
        SELECT u.slot, (lower(u.positions) >> 44)::int AS lane, range_agg(h.positions) AS held,
               bool_or(h.options) AS options
          FROM unnest(p_slots, p_claims, p_positions) AS u (slot, claim, positions)
         CROSS JOIN LATERAL awa.held_positions(v_worker, u.slot, u.claim, u.positions) AS h
         WHERE NOT isempty(u.positions)
         GROUP BY 1, 2
         ORDER BY 1, 2 -- the same order in each flush, so that no two wait in a circle
    LOOP
        v_closed := awa.add_closure(v_group.slot, v_group.lane, v_group.held, 'completed');
        IF (v_rules OR v_group.options) AND NOT isempty(v_closed) THEN
            PERFORM awa.follow_completed(v_group.slot, v_closed);
        END IF;
        v_done := v_done + v_closed;
    END LOOP;

    -- A position that was carried meanwhile is closed in its new slot.
    FOR i IN 1 .. cardinality(p_claims) LOOP
        v_rest := p_positions[i] - v_done;
        IF NOT isempty(v_rest) THEN
            v_done := v_done + awa.complete_carried(v_worker, p_claims[i], v_rest);
        END IF;
    END LOOP;
    RETURN v_done;
END
$$;

-- Complete positions whose slot is not the one that the worker remembers. If another transaction closed
-- them, the loop looks again: they may just have been carried once more.
CREATE OR REPLACE FUNCTION awa.complete_carried(p_worker bigint, p_claim bigint,
        p_positions int8multirange)
RETURNS int8multirange
LANGUAGE plpgsql
AS $$
DECLARE
    v_open record;
    v_closed int8multirange;
    v_done int8multirange := '{}';
BEGIN
    LOOP
        SELECT o.* INTO v_open
          FROM awa.open_in_slots(p_worker, p_claim, p_positions) AS o ORDER BY o.ready_slot LIMIT 1;
        EXIT WHEN NOT FOUND;
        v_closed := awa.add_closure(v_open.ready_slot, (lower(p_positions) >> 44)::int,
                                    v_open.positions, 'completed');
        IF NOT isempty(v_closed) AND (v_open.options OR awa.rules_for_completed()) THEN
            PERFORM awa.follow_completed(v_open.ready_slot, v_closed);
        END IF;
        v_done := v_done + v_closed;
    END LOOP;
    RETURN v_done;
END
$$;

-- ---- With something to tell ----------------------------------------------------------------

-- Close single attempts that have something to tell. p_outcomes[i] is completed, failed, cancelled,
-- retried, snoozed, released (given back before it began) or expired (the worker ended it at its
-- deadline). p_errors[i] is text. p_outputs[i] is JSON or any other text; see awa.read_output().
-- p_delays[i] is the delay of a retry or of what expired (NULL: the backoff), a snooze or a release.
-- p_follows[i] is a JSON list of at most 10 jobs that are inserted with this end, see
-- awa.template_problem().
-- Locks: as complete_jobs. A bad row does not stop the others: it is returned with an error, and stays
-- open. An error that says nothing about a row (see awa.is_permanent) fails the whole call, which then
-- closes nothing.
-- Returns one row for each job, in order: its new state, or 'stale' if the attempt had lost it.
-- Door: hot.
CREATE OR REPLACE FUNCTION awa.close_jobs(p_worker bigint, p_slots smallint[], p_claims bigint[],
        p_positions bigint[], p_outcomes text[], p_errors text[] DEFAULT NULL,
        p_outputs text[] DEFAULT NULL, p_delays interval[] DEFAULT NULL,
        p_follows text[] DEFAULT NULL)
RETURNS TABLE (pos bigint, state text, error text)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
    v_n int := coalesce(cardinality(p_positions), 0);
BEGIN
    PERFORM awa.check_length('slots', p_slots, v_n), awa.check_length('claims', p_claims, v_n),
            awa.check_length('outcomes', p_outcomes, v_n),
            awa.check_length('errors', p_errors, v_n),
            awa.check_length('outputs', p_outputs, v_n),
            awa.check_length('delays', p_delays, v_n),
            awa.check_length('follows', p_follows, v_n), awa.require_durable();
    BEGIN
        RETURN QUERY SELECT c.pos, c.state, NULL::text
                       FROM awa.close_batch(p_worker, p_slots, p_claims, p_positions, p_outcomes,
                                            p_errors, p_outputs, p_delays, p_follows) AS c;
        RETURN;
    EXCEPTION WHEN OTHERS THEN
        IF NOT awa.is_permanent(SQLSTATE) THEN
            RAISE;
        END IF;
        IF v_n <= 1 THEN
            RETURN QUERY SELECT p_positions[1], NULL::text, SQLERRM WHERE v_n = 1;
            RETURN;
        END IF;
    END;
    FOR i IN 1 .. v_n LOOP
        BEGIN
            RETURN QUERY SELECT c.pos, c.state, NULL::text
                           FROM awa.close_batch(p_worker, p_slots[i:i], p_claims[i:i],
                                    p_positions[i:i], p_outcomes[i:i], p_errors[i:i],
                                    p_outputs[i:i], p_delays[i:i], p_follows[i:i]) AS c;
        EXCEPTION WHEN OTHERS THEN
            IF NOT awa.is_permanent(SQLSTATE) THEN
                RAISE;
            END IF;
            RETURN QUERY SELECT p_positions[i], NULL::text, SQLERRM;
        END;
    END LOOP;
END
$$;

-- Raise JQ001 unless a worker may say all of these outcomes.
CREATE OR REPLACE FUNCTION awa.check_outcomes(p_outcomes text[])
RETURNS void
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
    v_outcome text;
BEGIN
    FOREACH v_outcome IN ARRAY p_outcomes LOOP
        IF v_outcome IN ('completed', 'failed', 'cancelled', 'retried', 'snoozed', 'released',
                         'expired') IS NOT TRUE THEN
            RAISE EXCEPTION 'outcome: a worker cannot say %', coalesce(v_outcome, 'NULL')
                  USING ERRCODE = 'JQ001';
        END IF;
    END LOOP;
END
$$;

-- Do the work of close_jobs, all of it or nothing: what cannot be done raises an exception.
CREATE OR REPLACE FUNCTION awa.close_batch(p_worker bigint, p_slots smallint[], p_claims bigint[],
        p_positions bigint[], p_outcomes text[], p_errors text[], p_outputs text[],
        p_delays interval[], p_follows text[])
RETURNS TABLE (pos bigint, state text)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
    v_worker CONSTANT bigint := awa.worker_number(p_worker);
    v_follows CONSTANT jsonb[] := awa.read_follows(p_follows);
    v_now timestamptz := clock_timestamp();
    v_held int8multirange := '{}';
    v_slots smallint[] := p_slots;
    v_rows awa.closing[];
    v_carried awa.closing[];
    v_done int8multirange;
BEGIN
    PERFORM awa.check_outcomes(p_outcomes);

    -- The fence: only what a claim of this worker holds is closed.
    SELECT coalesce(range_agg(h.positions), '{}')
      INTO v_held
      FROM (SELECT u.slot, u.claim, range_agg(int8range(u.pos, u.pos + 1)) AS positions
              FROM unnest(p_slots, p_claims, p_positions) AS u (slot, claim, pos)
             GROUP BY u.slot, u.claim, u.pos >> 44) AS g
     CROSS JOIN LATERAL awa.held_positions(v_worker, g.slot, g.claim, g.positions) AS h;
    v_rows := awa.closings(v_held, v_slots, p_positions, p_outcomes, p_errors, p_outputs, p_delays,
                           v_follows, v_now);
    v_done := awa.close_and_apply(v_rows);

    -- A position that was carried meanwhile is closed in its new slot. The loop looks again, because it
    -- may just have been carried once more.
    WHILE awa.width(v_done) < cardinality(p_positions) LOOP
        SELECT array_agg(coalesce(o.ready_slot, -1) ORDER BY u.ord),
               coalesce(range_agg(int8range(u.pos, u.pos + 1))
                        FILTER (WHERE o.ready_slot IS NOT NULL), '{}')
          INTO v_slots, v_held
          FROM unnest(p_claims, p_positions) WITH ORDINALITY AS u (claim, pos, ord)
          LEFT JOIN LATERAL (
                SELECT o.ready_slot
                  FROM awa.open_in_slots(v_worker, u.claim,
                                         int8multirange(int8range(u.pos, u.pos + 1))) AS o
                 WHERE NOT v_done @> u.pos
                 LIMIT 1) AS o ON true;
        EXIT WHEN isempty(v_held);
        v_carried := awa.closings(v_held, v_slots, p_positions, p_outcomes, p_errors, p_outputs,
                                  p_delays, v_follows, v_now);
        EXIT WHEN cardinality(v_carried) = 0;
        v_done := v_done + awa.close_and_apply(v_carried);
        v_rows := v_rows || v_carried;
    END LOOP;

    RETURN QUERY
        SELECT u.pos, coalesce(r.state, 'stale')
          FROM unnest(p_positions) WITH ORDINALITY AS u (pos, ord)
          LEFT JOIN (SELECT DISTINCT ON (r.pos) r.pos, awa.state_after(r.outcome, r.run_at) AS state
                       FROM unnest(v_rows) AS r
                      WHERE v_done @> r.pos) AS r ON r.pos = u.pos
         ORDER BY u.ord;
END
$$;

-- The jobs that attempts ask for, as JSON; NULL: none does.
CREATE OR REPLACE FUNCTION awa.read_follows(p_follows text[])
RETURNS jsonb[]
LANGUAGE plpgsql
AS $$
BEGIN
    IF num_nonnulls(VARIADIC p_follows) = 0 THEN
        RETURN NULL;
    END IF;
    RETURN (SELECT array_agg(awa.check_asked(f::jsonb) ORDER BY ord)
              FROM unnest(p_follows) WITH ORDINALITY AS u (f, ord));
END
$$;

-- Return a list of jobs that an attempt asks for. Raises JQ001 if one of them cannot be a job.
CREATE OR REPLACE FUNCTION awa.check_asked(p_jobs jsonb)
RETURNS jsonb
LANGUAGE plpgsql
AS $$
DECLARE
    v_problem text;
BEGIN
    IF jsonb_typeof(p_jobs) <> 'array' OR jsonb_array_length(p_jobs) > 10 THEN
        RAISE EXCEPTION 'follow: want a list of at most 10 jobs' USING ERRCODE = 'JQ001';
    END IF;
    SELECT format('follow %s: %s', j.ord - 1, t.problem) INTO v_problem
      FROM jsonb_array_elements(p_jobs) WITH ORDINALITY AS j (job, ord)
     CROSS JOIN LATERAL (SELECT awa.template_problem(j.job) AS problem) AS t
     WHERE t.problem IS NOT NULL
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '%', v_problem USING ERRCODE = 'JQ001';
    END IF;
    RETURN p_jobs;
END
$$;

-- Decide what becomes of positions that are held, from what is asked for p_positions[i] in p_slots[i].
CREATE OR REPLACE FUNCTION awa.closings(p_held int8multirange, p_slots smallint[],
        p_positions bigint[], p_outcomes text[], p_errors text[], p_outputs text[],
        p_delays interval[], p_follows jsonb[], p_now timestamptz)
RETURNS awa.closing[]
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN (
        SELECT coalesce(array_agg(ROW(u.slot, u.pos, awa.decide(u.outcome, e.attempt, e.max_attempts),
                   e.id, e.attempt + awa.attempts_used(u.outcome),
                   CASE WHEN u.error IS NOT NULL
                          OR u.outcome NOT IN ('completed', 'snoozed', 'released')
                        THEN awa.error_entry(e.attempt + 1, u.error, u.outcome, p_now) END,
                   awa.read_output(u.output),
                   CASE WHEN u.outcome IN ('retried', 'expired')
                        THEN p_now + coalesce(u.delay, awa.backoff(e.attempt + 1))
                        WHEN u.outcome = 'snoozed' THEN p_now + coalesce(u.delay, '0 s')
                        WHEN u.outcome = 'released' THEN p_now + nullif(u.delay, '0 s') END,
                   u.outcome = 'released', u.follow, NULL)::awa.closing), '{}')
          FROM (SELECT DISTINCT ON (u.pos) u.* -- a position that is named twice has its first end
                  FROM unnest(p_slots, p_positions, p_outcomes::awa.outcome[], p_errors, p_outputs,
                              p_delays, p_follows) WITH ORDINALITY
                       AS u (slot, pos, outcome, error, output, delay, follow, ord)
                 ORDER BY u.pos, u.ord) AS u
         CROSS JOIN LATERAL (
                SELECT e.id, e.attempt, e.max_attempts
                  FROM awa.ready_entries AS e
                 WHERE e.ready_slot = u.slot AND e.pos = u.pos
                 LIMIT 1) AS e
         WHERE p_held @> u.pos);
END
$$;

-- ---- In the caller's transaction -----------------------------------------------------------

-- Complete one job inside the caller's own transaction: the effects of the handler and the end of the job
-- commit together or not at all. Locks nothing but its own closure, so other jobs of the claim can end.
-- Raises JQ003 if the attempt has lost the job, which aborts the effects as well. p_follow is a list of jobs
-- that are inserted with this end, see awa.template_problem().
-- Door: hot.
CREATE OR REPLACE FUNCTION awa.complete_job(p_worker bigint, p_claim bigint, p_position bigint,
        p_output jsonb DEFAULT NULL, p_follow jsonb DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_worker CONSTANT bigint := awa.worker_number(p_worker);
    v_slot smallint;
    v_options boolean;
    v_done boolean := false;
    v_rows awa.closing[];
BEGIN
    PERFORM awa.require_durable(), awa.check_asked(p_follow);
    LOOP -- again if the position was carried into another slot meanwhile
        SELECT o.ready_slot, o.options INTO v_slot, v_options
          FROM awa.open_in_slots(v_worker, p_claim,
                                 int8multirange(int8range(p_position, p_position + 1))) AS o
         LIMIT 1;
        EXIT WHEN NOT FOUND;
        v_done := NOT isempty(awa.add_closure(v_slot, (p_position >> 44)::int,
                          int8multirange(int8range(p_position, p_position + 1)), 'completed'));
        EXIT WHEN v_done;
    END LOOP;
    IF NOT v_done THEN
        RAISE EXCEPTION 'attempt: claim % does not hold position % any more', p_claim, p_position
              USING ERRCODE = 'JQ003';
    END IF;
    IF num_nonnulls(p_output, p_follow) > 0
       OR v_options OR awa.rules_for_completed() THEN
        SELECT awa.follow_rows(ARRAY[awa.terminal(v_slot, p_position, 'completed', e.id,
                   e.attempt + 1, NULL, awa.read_output(p_output::text), p_follow)]) INTO v_rows
          FROM awa.ready_entries AS e WHERE e.ready_slot = v_slot AND e.pos = p_position;
        PERFORM awa.apply_ends(v_rows)
          WHERE p_output IS NOT NULL OR v_rows[1].skipped IS NOT NULL;
    END IF;
END
$$;
