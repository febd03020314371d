-- SPDX-License-Identifier: MIT
-- requires: jobs
-- requires: ring
-- requires: insert
-- requires: terminal
-- What an operator does to single jobs: cancel, retry.

-- The end of jobs of one lane that nobody runs: withdrawn at their positions, and done entries that
-- say so. The caller holds the lane's lock, or has just inserted them. Returns how many there were.
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
    INSERT INTO awa.done_entries (pos, id, finalized_at, ready_slot, attempt, state, errors)
    SELECT e.pos, e.id, v_now, p_slot, e.attempt, 'cancelled',
           awa.append_error(e.errors, awa.error_entry(e.attempt, p_reason, 'cancelled', v_now))
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

-- Cancel a job in any live state: deferred, waiting or running. The worker of a running one is
-- told, and whatever it still reports is stale. Locks: the lane, while the job waits in it.
-- Returns whether there was something to cancel.
CREATE OR REPLACE FUNCTION awa.cancel_job(p_id bigint, p_reason text DEFAULT NULL)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
SET max_parallel_workers_per_gather = 0
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_reason CONSTANT text := coalesce(p_reason, 'cancelled by an operator');
    v_job awa.jobs;
    v_deferred awa.deferred_jobs;
    v_lane awa.lanes;
    v_pos bigint;
    v_slot smallint;
BEGIN
    PERFORM awa.require_read_committed('cancel');
    FOR i IN 1 .. 10 LOOP -- the job may move on while we look
        DELETE FROM awa.deferred_jobs AS d WHERE d.id = p_id RETURNING d.* INTO v_deferred;
        IF FOUND THEN
            v_lane := awa.open_lane(v_deferred.queue, v_deferred.priority,
                                    v_deferred.enqueue_shard);
            INSERT INTO awa.ready_entries (pos, id, enqueued_at, ready_slot, attempt, max_attempts,
                   kind, args, tags, metadata, unique_key, errors, created_at)
            VALUES (awa.draw_positions(v_lane, 1), v_deferred.id, clock_timestamp(),
                    awa.current_slot(), v_deferred.attempt, v_deferred.max_attempts,
                    v_deferred.kind, v_deferred.args, v_deferred.tags, v_deferred.metadata,
                    v_deferred.unique_key, v_deferred.errors, v_deferred.created_at)
            RETURNING pos, ready_slot INTO v_pos, v_slot;
            RETURN awa.withdraw_cancelled(v_slot, int8multirange(int8range(v_pos, v_pos + 1)),
                                          v_reason) > 0;
        END IF;

        SELECT j.* INTO v_job FROM awa.get_job(p_id) AS j LIMIT 1;
        IF NOT FOUND OR v_job.state IN ('completed', 'failed', 'cancelled') THEN
            RETURN false;
        END IF;
        CONTINUE WHEN v_job.state IN ('scheduled', 'retryable');
        IF v_job.state = 'running' THEN
            CONTINUE WHEN isempty(awa.add_closure(v_job.ready_slot, (v_job.pos >> 44)::int,
                    int8multirange(int8range(v_job.pos, v_job.pos + 1)), 'cancelled'));
            INSERT INTO awa.done_entries (pos, id, finalized_at, ready_slot, attempt, state, errors)
            VALUES (v_job.pos, p_id, clock_timestamp(), v_job.ready_slot, v_job.attempt,
                    'cancelled',
                    awa.append_error(v_job.errors, awa.error_entry(v_job.attempt, v_reason,
                                                                   'cancelled', clock_timestamp())));
            PERFORM awa.notify_worker(v_job.worker_id);
            RETURN true;
        ELSE
            -- Under the lane's lock nobody claims it; it may have been claimed or carried before.
            PERFORM awa.take_lane((v_job.pos >> 44)::int);
            SELECT j.* INTO v_job FROM awa.get_job(p_id) AS j LIMIT 1;
            CONTINUE WHEN NOT FOUND OR v_job.state <> 'available';
            RETURN awa.withdraw_cancelled(v_job.ready_slot,
                           int8multirange(int8range(v_job.pos, v_job.pos + 1)), v_reason) > 0;
        END IF;
    END LOOP;
    RAISE EXCEPTION 'job %: keeps moving', p_id USING ERRCODE = 'JQ006', HINT = 'Try again.';
END
$$;

-- Run a failed or cancelled job again, from attempt 0; its errors are kept. A deferred one becomes
-- due at once. What is in the dead-letter queue is left to awa.retry_dlq(). Returns whether there
-- was something to retry. Raises JQ004 if a newer live job holds its unique key.
CREATE OR REPLACE FUNCTION awa.retry_job(p_id bigint)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
SET max_parallel_workers_per_gather = 0
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_job awa.jobs;
BEGIN
    PERFORM awa.require_read_committed('retry');
    FOR i IN 1 .. 10 LOOP -- the job may be carried, promoted or retried while we look
        SELECT j.* INTO v_job FROM awa.get_job(p_id) AS j LIMIT 1;
        IF NOT FOUND THEN
            RETURN false;
        END IF;
        IF v_job.state IN ('scheduled', 'retryable') THEN
            UPDATE awa.deferred_jobs AS d SET run_at = clock_timestamp() WHERE d.id = p_id;
            CONTINUE WHEN NOT FOUND;
            PERFORM awa.wake_leader(clock_timestamp());
            RETURN true;
        END IF;
        IF v_job.state NOT IN ('failed', 'cancelled') OR v_job.dlq_at IS NOT NULL THEN
            RETURN false;
        END IF;
        -- The key before the job: whoever takes many does it in this order, too.
        IF v_job.unique_key IS NOT NULL AND NOT awa.take_unique_key(v_job.unique_key, p_id) THEN
            RAISE EXCEPTION 'job %: a newer job holds the unique key %', p_id, v_job.unique_key
                  USING ERRCODE = 'JQ004';
        END IF;
        CONTINUE WHEN isempty(awa.take_back(v_job.ready_slot,
                int8multirange(int8range(v_job.pos, v_job.pos + 1)), 'removed'));
        PERFORM awa.add_entries(ARRAY[awa.fresh_job(v_job, 1)]);
        RETURN true;
    END LOOP;
    RAISE EXCEPTION 'job %: keeps moving', p_id USING ERRCODE = 'JQ006', HINT = 'Try again.';
END
$$;

-- A job as it begins anew: from attempt 0, with its errors.
CREATE OR REPLACE FUNCTION awa.fresh_job(p_job awa.jobs, p_ord int)
RETURNS awa.new_job
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN ROW(p_ord, (p_job).id, (p_job).kind, (p_job).args, (p_job).queue, (p_job).priority,
               (p_job).enqueue_shard, (p_job).max_attempts, NULL, (p_job).tags, (p_job).metadata,
               (p_job).unique_key, NULL, 0, (p_job).errors, NULL,
               (p_job).created_at)::awa.new_job;
END
$$;
