-- SPDX-License-Identifier: MIT
-- How a job becomes runnable, at once or later. Besides these functions, a COPY by a client, a carry
-- (awa.copy_entries) and a cancel of a deferred job (awa.cancel_job) write entries.

-- Append an entry for each job, in order of ord within its lane, and wake the queues.
CREATE OR REPLACE FUNCTION awa.add_entries(p_jobs awa.new_job[])
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
    v_group record;
    v_lane awa.lanes;
    v_first bigint;
    v_slot smallint;
BEGIN
    FOR v_group IN
        SELECT j.queue, j.priority, j.enqueue_shard, count(*) AS n
          FROM unnest(p_jobs) AS j
         GROUP BY j.queue, j.priority, j.enqueue_shard
         ORDER BY j.queue, j.priority, j.enqueue_shard
    LOOP
        v_lane := awa.open_lane(v_group.queue, v_group.priority, v_group.enqueue_shard);
        v_first := awa.draw_positions(v_lane, v_group.n);
        v_slot := awa.current_slot();
        INSERT INTO awa.ready_entries (pos, id, enqueued_at, ready_slot, attempt, max_attempts,
               kind, args, tags, metadata, unique_key, errors, created_at)
        SELECT v_first + row_number() OVER (ORDER BY j.ord) - 1, j.id,
               coalesce(j.enqueued_at, v_now), v_slot, coalesce(j.attempt, 0), j.max_attempts,
               j.kind, j.args, j.tags, j.metadata, j.unique_key, j.errors, j.created_at
          FROM unnest(p_jobs) AS j
         WHERE j.queue = v_group.queue AND j.priority = v_group.priority
           AND j.enqueue_shard = v_group.enqueue_shard
         ORDER BY j.ord;
        PERFORM awa.wake_queue(v_group.queue);
    END LOOP;
END
$$;

-- Append jobs that run at a later time. Wakes the leader if the first of them is due before the leader
-- would look.
CREATE OR REPLACE FUNCTION awa.add_deferred(p_jobs awa.new_job[], p_state awa.job_state)
RETURNS void
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
BEGIN
    INSERT INTO awa.deferred_jobs (id, run_at, created_at, state, priority, enqueue_shard,
           attempt, max_attempts, queue, kind, args, tags, metadata, unique_key, errors)
    SELECT j.id, j.run_at, coalesce(j.created_at, v_now), p_state, j.priority, j.enqueue_shard,
           coalesce(j.attempt, 0), j.max_attempts, j.queue, j.kind, j.args, j.tags, j.metadata,
           j.unique_key, j.errors
      FROM unnest(p_jobs) AS j;
    PERFORM awa.wake_leader(min(j.run_at)) FROM unnest(p_jobs) AS j;
END
$$;
