-- SPDX-License-Identifier: MIT
-- Take jobs away from workers that died, from attempts that are past their deadline, and from claims
-- whose answer was lost, and make these jobs runnable again.

-- End open attempts for somebody else, as rescued, expired or released. They lie in one slot and lane. A
-- job whose last attempt this was fails; one that expired waits for its backoff, because the same is
-- likely to happen again. Waits no longer than the caller's lock_timeout for another
-- transaction. Returns how many attempts were ended.
CREATE OR REPLACE FUNCTION awa.end_attempts(p_slot smallint, p_lane int,
        p_positions int8multirange, p_outcome awa.outcome, p_error text)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
    v_rows awa.closing[];
BEGIN
    SELECT array_agg(ROW(p_slot, e.pos, awa.decide(p_outcome, e.attempt, e.max_attempts), e.id,
                         e.attempt + awa.attempts_used(p_outcome),
                         CASE WHEN p_outcome <> 'released'
                              THEN awa.error_entry(e.attempt + 1, p_error, p_outcome, v_now) END,
                         NULL, CASE WHEN p_outcome = 'expired'
                                    THEN v_now + awa.backoff(e.attempt + 1) END,
                         p_outcome = 'released', NULL, NULL)::awa.closing ORDER BY e.pos)
      INTO v_rows
      FROM unnest(p_positions) AS r
     CROSS JOIN LATERAL (
            SELECT e.*
              FROM awa.ready_entries AS e
             WHERE e.ready_slot = p_slot AND e.pos >= lower(r) AND e.pos < upper(r)
             ORDER BY e.pos) AS e;
    RETURN awa.width(awa.close_and_apply(v_rows));
END
$$;

-- The same; but if another transaction is closing one of the positions, each position is tried by itself.
CREATE OR REPLACE FUNCTION awa.try_end_attempts(p_slot smallint, p_lane int,
        p_positions int8multirange, p_outcome awa.outcome, p_error text)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_ended bigint := 0;
    v_run int8range;
BEGIN
    BEGIN
        RETURN awa.end_attempts(p_slot, p_lane, p_positions, p_outcome, p_error);
    EXCEPTION WHEN lock_not_available OR deadlock_detected OR unique_violation THEN
        NULL; -- each by itself, below
    END;
    FOR v_run IN SELECT r FROM unnest(p_positions) AS r LOOP
        FOR v_pos IN 0 .. (upper(v_run) - lower(v_run) - 1)::int LOOP
            BEGIN
                v_ended := v_ended + awa.end_attempts(p_slot, p_lane,
                        int8multirange(int8range(lower(v_run) + v_pos, lower(v_run) + v_pos + 1)),
                        p_outcome, p_error);
            EXCEPTION WHEN lock_not_available OR deadlock_detected OR unique_violation THEN
                NULL; -- its handler is committing; the next round sees how that ended
            END;
        END LOOP;
    END LOOP;
    RETURN v_ended;
END
$$;

-- Rescue the jobs of dead workers; awa.dead_workers() says which those are. Called by the leader. With
-- p_now in the future it looks that far ahead. Locks: each worker's row, so that no claim of it is in
-- flight; after that none. Returns how many jobs were rescued.
-- Door: hot.
CREATE OR REPLACE FUNCTION awa.rescue_jobs(p_now timestamptz DEFAULT clock_timestamp())
RETURNS bigint
LANGUAGE plpgsql
SET lock_timeout = '100ms'
AS $$
DECLARE
    v_worker record;
    v_open record;
    v_rescued bigint := 0;
    v_mine bigint;
BEGIN
    PERFORM awa.require_read_committed('rescue'), awa.require_durable();
    FOR v_worker IN SELECT d.* FROM awa.dead_workers(p_now - clock_timestamp()) AS d LOOP
        CONTINUE WHEN NOT awa.try_worker(v_worker.worker_id); -- a claim is in flight
        v_mine := 0;
        FOR v_open IN SELECT o.* FROM awa.open_positions(v_worker.worker_id) AS o LOOP
            v_mine := v_mine + awa.try_end_attempts(v_open.ready_slot, v_open.lane_id,
                    v_open.positions, 'rescued',
                    format('worker %s %s', v_worker.name, v_worker.reason));
        END LOOP;
        -- From here on the worker claims nothing. Once it is empty, no rescue looks at it again.
        UPDATE awa.workers AS w
           SET ended_at = coalesce(w.ended_at, p_now), rescued = w.rescued + v_mine,
               empty = NOT EXISTS (SELECT 1 FROM awa.open_positions(v_worker.worker_id))
         WHERE w.worker_id = v_worker.worker_id;
        v_rescued := v_rescued + v_mine;
    END LOOP;
    DELETE FROM awa.workers AS w WHERE w.empty AND w.ended_at < p_now - interval '1 h';
    RETURN v_rescued;
END
$$;

-- Whether there is a worker that rescue_jobs() should look at.
-- Door: plain.
CREATE OR REPLACE FUNCTION awa.any_to_rescue(p_now timestamptz DEFAULT clock_timestamp())
RETURNS boolean
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN EXISTS (SELECT 1 FROM awa.dead_workers(p_now - clock_timestamp()));
END
$$;

-- Settle a claim of this worker whose answer was lost. The worker keeps the attempts that it knows of, at
-- p_known; the other jobs that it holds go back, unstarted. From here on it claims nothing: a claim that
-- is still on its way under its number would bring more jobs that it does not know of. Locks: the
-- worker's row, exclusively, so that no claim of it is in flight; after that none. Returns how many jobs
-- went back. NULL means ask again: a claim is in flight, or another transaction is closing one of the
-- attempts.
-- Door: hot.
CREATE OR REPLACE FUNCTION awa.reconcile_worker(p_worker bigint, p_known int8multirange)
RETURNS bigint
LANGUAGE plpgsql
SET lock_timeout = '100ms'
AS $$
DECLARE
    v_number CONSTANT bigint := awa.worker_number(p_worker);
    v_open record;
    v_back bigint := 0;
BEGIN
    IF p_known IS NULL THEN
        RAISE EXCEPTION 'known: want positions, got NULL' USING ERRCODE = 'JQ001';
    END IF;
    PERFORM awa.require_read_committed('reconcile'), awa.require_durable();
    IF v_number IS NULL THEN
        RETURN 0; -- given up for dead long ago, and empty
    END IF;
    IF NOT awa.try_worker(v_number) THEN
        RETURN NULL;
    END IF;
    UPDATE awa.workers AS w SET queues = '{}' WHERE w.worker_id = v_number AND w.queues <> '{}';
    FOR v_open IN
        SELECT o.* FROM awa.open_positions(v_number) AS o WHERE NOT o.positions <@ p_known
    LOOP
        v_back := v_back + awa.try_end_attempts(v_open.ready_slot, v_open.lane_id,
                v_open.positions - p_known, 'released', NULL);
    END LOOP;
    IF EXISTS (SELECT 1 FROM awa.open_positions(v_number) AS o WHERE NOT o.positions <@ p_known)
    THEN
        RETURN NULL;
    END IF;
    RETURN v_back;
END
$$;

-- End attempts whose deadline passed more than 4 s ago. The worker had its chance to end them itself, the
-- 2 s of grace that it gives a program included. Looks at claims with deadlines in (p_from, p_now - 4 s];
-- the leader moves p_from on, and now and then begins from the start. Returns how many attempts were
-- ended.
-- Door: hot.
CREATE OR REPLACE FUNCTION awa.expire_jobs(p_from timestamptz DEFAULT '-infinity',
        p_now timestamptz DEFAULT clock_timestamp())
RETURNS bigint
LANGUAGE plpgsql
SET lock_timeout = '100ms'
AS $$
DECLARE
    v_late record;
    v_open int8multirange;
    v_expired bigint := 0;
BEGIN
    PERFORM awa.require_durable();
    FOR v_late IN
        SELECT c.ready_slot, c.lane_id, c.worker_id, range_agg(c.positions) AS positions,
               min(c.deadline_at) AS deadline_at
          FROM awa.claims AS c
         WHERE c.deadline_at > p_from AND c.deadline_at <= p_now - awa.deadline_grace()
         GROUP BY c.ready_slot, c.lane_id, c.worker_id
         ORDER BY c.ready_slot, c.lane_id, c.worker_id
    LOOP
        v_open := v_late.positions - awa.closed_positions(v_late.ready_slot, v_late.positions);
        CONTINUE WHEN isempty(v_open);
        v_expired := v_expired + awa.try_end_attempts(v_late.ready_slot, v_late.lane_id, v_open,
                'expired', format('deadline exceeded, after %s', v_late.deadline_at));
        PERFORM awa.notify_worker(v_late.worker_id);
    END LOOP;
    RETURN v_expired;
END
$$;
