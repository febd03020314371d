-- SPDX-License-Identifier: MIT
-- How a job becomes runnable, at once or later. Besides these functions, a COPY by a client writes
-- entries, and a carry copies them (awa.copy_entries).

-- Append entries for the jobs of one lane, in order of ord. Returns the position of the first, and the
-- slot.
CREATE OR REPLACE FUNCTION awa.put_entries(p_lane awa.lanes, p_jobs awa.new_job[],
        OUT first_pos bigint, OUT ready_slot smallint)
LANGUAGE plpgsql
AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
BEGIN
    first_pos := awa.draw_positions(p_lane, cardinality(p_jobs));
    ready_slot := awa.current_slot();
    INSERT INTO awa.ready_entries AS e (pos, id, enqueued_at, ready_slot, attempt, max_attempts, kind,
           args, tags, metadata, unique_key, errors, created_at, options)
    SELECT first_pos + row_number() OVER (ORDER BY j.ord) - 1, j.id, coalesce(j.enqueued_at, v_now),
           put_entries.ready_slot, coalesce(j.attempt, 0), j.max_attempts, j.kind, j.args, j.tags,
           j.metadata, j.unique_key, j.errors, j.created_at, j.options
      FROM unnest(p_jobs) AS j
     ORDER BY j.ord;
END
$$;

-- Append an entry for each job, in order of ord within its lane, and wake the queues.
CREATE OR REPLACE FUNCTION awa.add_entries(p_jobs awa.new_job[])
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_group record;
BEGIN
    FOR v_group IN
        SELECT j.queue, j.priority, j.enqueue_shard, array_agg(j) AS jobs
          FROM unnest(p_jobs) AS j
         GROUP BY j.queue, j.priority, j.enqueue_shard
         ORDER BY j.queue, j.priority, j.enqueue_shard
    LOOP
        PERFORM awa.put_entries(awa.open_lane(v_group.queue, v_group.priority,
                                              v_group.enqueue_shard), v_group.jobs);
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
           attempt, max_attempts, queue, kind, args, tags, metadata, unique_key, errors, options)
    SELECT j.id, j.run_at, coalesce(j.created_at, v_now), p_state, j.priority, j.enqueue_shard,
           coalesce(j.attempt, 0), j.max_attempts, j.queue, j.kind, j.args, j.tags, j.metadata,
           j.unique_key, j.errors, j.options
      FROM unnest(p_jobs) AS j;
    PERFORM awa.wake_leader(min(j.run_at)) FROM unnest(p_jobs) AS j;
END
$$;

-- ---- The same job in another form ----------------------------------------------------------

-- An entry as a new job, which waits until p_run_at (NULL: not at all), with p_attempt attempts used up.
-- p_keep_age: it has waited since it was enqueued first.
CREATE OR REPLACE FUNCTION awa.job_of_entry(p_ord bigint, p_entry awa.ready_entries, p_lane awa.lanes,
        p_attempt int, p_errors jsonb, p_run_at timestamptz, p_keep_age boolean)
RETURNS awa.new_job
LANGUAGE sql IMMUTABLE
RETURN ROW(p_ord, (p_entry).id, (p_entry).kind, (p_entry).args, (p_lane).queue, (p_lane).priority,
           (p_lane).enqueue_shard, (p_entry).max_attempts, p_run_at, (p_entry).tags,
           (p_entry).metadata, (p_entry).unique_key, NULL, p_attempt, p_errors,
           CASE WHEN p_keep_age THEN (p_entry).enqueued_at END,
           coalesce((p_entry).created_at, (p_entry).enqueued_at), (p_entry).options)::awa.new_job;

-- A deferred job as a new one.
CREATE OR REPLACE FUNCTION awa.job_of_deferred(p_ord bigint, p_job awa.deferred_jobs)
RETURNS awa.new_job
LANGUAGE sql IMMUTABLE
RETURN ROW(p_ord, (p_job).id, (p_job).kind, (p_job).args, (p_job).queue, (p_job).priority,
           (p_job).enqueue_shard, (p_job).max_attempts, NULL, (p_job).tags, (p_job).metadata,
           (p_job).unique_key, NULL, (p_job).attempt, (p_job).errors, NULL, (p_job).created_at,
           (p_job).options)::awa.new_job;

-- A dead letter as a job that begins anew, with its errors.
CREATE OR REPLACE FUNCTION awa.job_of_letter(p_ord bigint, p_letter awa.dlq_entries)
RETURNS awa.new_job
LANGUAGE sql IMMUTABLE
RETURN ROW(p_ord, (p_letter).id, (p_letter).kind, (p_letter).args, (p_letter).queue,
           (p_letter).priority, (p_letter).enqueue_shard, (p_letter).max_attempts, NULL,
           (p_letter).tags, (p_letter).metadata, (p_letter).unique_key, NULL, 0, (p_letter).errors,
           NULL, (p_letter).created_at, (p_letter).options)::awa.new_job;
