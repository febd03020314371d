-- SPDX-License-Identifier: MIT
-- The dead-letter queue: failed jobs that an operator wants to see before they are run again or
-- forgotten.

-- ---- Reading -------------------------------------------------------------------------------

-- Dead letters, newest first, below the cursor (p_before_at, p_before_id). Each filter may be NULL.
-- p_from and p_to bound dlq_at.
-- Door: index.
CREATE OR REPLACE FUNCTION awa.list_dlq(p_kind text DEFAULT NULL, p_queue text DEFAULT NULL,
        p_tag text DEFAULT NULL, p_reason text DEFAULT NULL, p_from timestamptz DEFAULT NULL,
        p_to timestamptz DEFAULT NULL, p_before_at timestamptz DEFAULT NULL,
        p_before_id bigint DEFAULT NULL, p_limit int DEFAULT 100)
RETURNS SETOF awa.dlq_entries
LANGUAGE plpgsql
AS $$
BEGIN
    IF p_limit IS NULL OR p_limit NOT BETWEEN 1 AND 10000 THEN
        RAISE EXCEPTION 'limit: want 1 to 10000, got %', p_limit USING ERRCODE = 'JQ001';
    END IF;
    RETURN QUERY
        SELECT d.*
          FROM awa.dlq_entries AS d
         WHERE (d.dlq_at, d.id) < (coalesce(p_before_at, 'infinity'),
                                   coalesce(p_before_id, 9223372036854775807))
           AND (p_kind IS NULL OR d.kind = p_kind)
           AND (p_queue IS NULL OR d.queue = p_queue)
           AND (p_tag IS NULL OR p_tag = ANY (d.tags))
           AND (p_reason IS NULL OR d.reason = p_reason)
           AND (p_from IS NULL OR d.dlq_at >= p_from)
           AND (p_to IS NULL OR d.dlq_at < p_to)
         ORDER BY d.dlq_at DESC, d.id DESC
         LIMIT p_limit;
END
$$;

-- How many dead letters each queue has, and when its oldest one came.
-- Door: plain.
CREATE OR REPLACE FUNCTION awa.dlq_depth(p_queue text DEFAULT NULL)
RETURNS TABLE (queue text, depth bigint, oldest_at timestamptz)
LANGUAGE sql STABLE
AS $$
    SELECT d.queue, count(*), min(d.dlq_at)
      FROM awa.dlq_entries AS d
     WHERE p_queue IS NULL OR d.queue = p_queue
     GROUP BY d.queue
     ORDER BY d.queue
$$;

-- ---- Moving there --------------------------------------------------------------------------

-- Move one failed job to the dead-letter queue. Returns false if there is no such job, it has not failed,
-- or it is there already.
-- Door: lookup.
CREATE OR REPLACE FUNCTION awa.move_to_dlq(p_id bigint, p_reason text DEFAULT 'manual')
RETURNS boolean
LANGUAGE plpgsql
AS $$
DECLARE
    v_job awa.jobs;
BEGIN
    PERFORM awa.require_read_committed('move');
    PERFORM awa.check_dlq_reason(p_reason);
    FOR i IN 1 .. 10 LOOP -- the job may be carried while we look
        SELECT j.* INTO v_job FROM awa.get_job(p_id) AS j LIMIT 1;
        IF NOT FOUND OR v_job.state <> 'failed' OR v_job.dlq_at IS NOT NULL THEN
            RETURN false;
        END IF;
        CONTINUE WHEN isempty(awa.take_back(v_job.ready_slot,
                int8multirange(int8range(v_job.pos, v_job.pos + 1)), 'moved'));
        PERFORM awa.add_dead_letters(ARRAY[v_job], p_reason);
        RETURN true;
    END LOOP;
    RAISE EXCEPTION 'job %: keeps moving', p_id USING ERRCODE = 'JQ006', HINT = 'Try again.';
END
$$;

-- Move failed jobs that match every filter to the dead-letter queue: newest id first, at most p_limit of
-- them. Needs a filter, or p_all. With p_dry_run it only counts.
-- Door: index.
CREATE OR REPLACE FUNCTION awa.move_failed_to_dlq(p_kind text DEFAULT NULL,
        p_queue text DEFAULT NULL, p_tag text DEFAULT NULL, p_all boolean DEFAULT false,
        p_reason text DEFAULT 'manual', p_limit int DEFAULT NULL, p_before bigint DEFAULT NULL,
        p_dry_run boolean DEFAULT false)
RETURNS awa.bulk_result
LANGUAGE plpgsql
AS $$
DECLARE
    v_filter CONSTANT awa.job_filter := awa.begin_bulk(p_kind, p_queue, p_tag, p_all, p_limit,
                                                       p_before);
    v_jobs awa.jobs[];
    v_result awa.bulk_result;
BEGIN
    PERFORM awa.check_dlq_reason(p_reason);
    v_jobs := awa.find_failed(v_filter);
    v_result := awa.bulk_report(v_jobs, v_filter);
    IF NOT p_dry_run AND v_result.matched > 0 THEN
        v_jobs := awa.take_back_jobs(v_jobs, 'moved');
        PERFORM awa.add_dead_letters(v_jobs, p_reason);
        v_result.changed := cardinality(v_jobs);
    END IF;
    RETURN v_result;
END
$$;

-- ---- Leaving it ----------------------------------------------------------------------------

-- Turn dead letters into jobs that begin anew, in the queue and with the priority that the operator
-- names, or in their own. Waits for a transaction that has locked one of them; passes over those that are
-- gone. Returns how many began anew.
CREATE OR REPLACE FUNCTION awa.revive(p_ids bigint[], p_run_at timestamptz, p_queue text,
        p_priority int)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_problem text := awa.job_problem('-', p_queue, '{}', p_priority, NULL, p_run_at, NULL, NULL,
                                      NULL, NULL);
    v_shards CONSTANT int := (SELECT q.enqueue_shards FROM awa.queues AS q WHERE q.queue = p_queue);
    v_jobs awa.new_job[];
BEGIN
    IF v_problem IS NOT NULL THEN
        RAISE EXCEPTION '%', v_problem USING ERRCODE = 'JQ001';
    END IF;
    WITH gone AS (
        DELETE FROM awa.dlq_entries AS d
         WHERE d.ctid = ANY (ARRAY(SELECT o.ctid FROM awa.dlq_entries AS o
                                    WHERE o.id = ANY (p_ids) ORDER BY o.id FOR UPDATE))
        RETURNING d AS letter)
    SELECT coalesce(array_agg(awa.job_of_letter(g.ord, g.letter)), '{}') INTO v_jobs
      FROM (SELECT g.letter, row_number() OVER (ORDER BY (g.letter).id) AS ord FROM gone AS g) AS g;
    FOR i IN 1 .. cardinality(v_jobs) LOOP
        v_jobs[i].run_at := p_run_at;
        v_jobs[i].priority := coalesce(p_priority, v_jobs[i].priority);
        IF p_queue <> v_jobs[i].queue THEN
            v_jobs[i].queue := p_queue;
            v_jobs[i].enqueue_shard := awa.shard_of(NULL, v_shards);
        END IF;
    END LOOP;
    IF p_run_at > clock_timestamp() THEN
        PERFORM awa.add_deferred(v_jobs, 'scheduled');
    ELSE
        PERFORM awa.add_entries(v_jobs);
    END IF;
    RETURN cardinality(v_jobs);
END
$$;

-- Run one dead letter again, from attempt 0, with its errors: now or at p_run_at, in its own queue and
-- with its own priority or in others. Returns whether it was there. Raises JQ004 if a newer live job
-- holds its unique key; the dead letter then stays.
-- Door: index.
CREATE OR REPLACE FUNCTION awa.retry_dlq(p_id bigint, p_run_at timestamptz DEFAULT NULL,
        p_queue text DEFAULT NULL, p_priority int DEFAULT NULL)
RETURNS boolean
LANGUAGE plpgsql
AS $$
DECLARE
    v_key text;
BEGIN
    PERFORM awa.require_read_committed('retry');
    SELECT d.unique_key INTO v_key FROM awa.dlq_entries AS d WHERE d.id = p_id;
    IF v_key IS NOT NULL AND NOT awa.take_unique_key(v_key, p_id) THEN
        RAISE EXCEPTION 'job %: a newer job holds the unique key %', p_id, v_key
              USING ERRCODE = 'JQ004';
    END IF;
    RETURN awa.revive(ARRAY[p_id], p_run_at, p_queue, p_priority) = 1;
END
$$;

-- The dead letters that match a filter, newest id first.
CREATE OR REPLACE FUNCTION awa.find_dead(p_filter awa.job_filter)
RETURNS awa.jobs[]
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN (SELECT coalesce(array_agg(j), '{}')
              FROM (SELECT d.id
                      FROM awa.dlq_entries AS d
                     WHERE d.id < p_filter.before_id
                       AND (p_filter.kind IS NULL OR d.kind = p_filter.kind)
                       AND (p_filter.queue IS NULL OR d.queue = p_filter.queue)
                       AND (p_filter.tag IS NULL OR p_filter.tag = ANY (d.tags))
                       AND (p_filter.reason IS NULL OR d.reason = p_filter.reason)
                       AND (p_filter.from_at IS NULL OR d.dlq_at >= p_filter.from_at)
                       AND (p_filter.to_at IS NULL OR d.dlq_at < p_filter.to_at)
                     ORDER BY d.id DESC
                     LIMIT p_filter.max_jobs) AS d
             CROSS JOIN LATERAL awa.job_at(d.id, NULL, NULL) AS j);
END
$$;

-- Run dead letters that match every filter again, as awa.retry_dlq() does. A dead letter whose unique key
-- a newer job holds stays, and is counted as a conflict.
-- Door: index.
CREATE OR REPLACE FUNCTION awa.retry_dlq_jobs(p_kind text DEFAULT NULL, p_queue text DEFAULT NULL,
        p_tag text DEFAULT NULL, p_reason text DEFAULT NULL, p_from timestamptz DEFAULT NULL,
        p_to timestamptz DEFAULT NULL, p_all boolean DEFAULT false,
        p_run_at timestamptz DEFAULT NULL, p_to_queue text DEFAULT NULL,
        p_to_priority int DEFAULT NULL, p_limit int DEFAULT NULL, p_before bigint DEFAULT NULL,
        p_dry_run boolean DEFAULT false)
RETURNS awa.bulk_result
LANGUAGE plpgsql
AS $$
DECLARE
    v_filter CONSTANT awa.job_filter := awa.begin_bulk(p_kind, p_queue, p_tag, p_all, p_limit,
                                                       p_before, p_reason, p_from, p_to);
    v_jobs awa.jobs[] := awa.find_dead(v_filter);
    v_result awa.bulk_result := awa.bulk_report(v_jobs, v_filter);
BEGIN
    IF NOT p_dry_run AND v_result.matched > 0 THEN
        v_jobs := awa.take_unique_keys(v_jobs);
        v_result.conflicts := v_result.matched - cardinality(v_jobs);
        v_result.changed := awa.revive(ARRAY(SELECT j.id FROM unnest(v_jobs) AS j), p_run_at,
                                       p_to_queue, p_to_priority);
    END IF;
    RETURN v_result;
END
$$;

-- Forget dead letters that match every filter, and their unique keys.
-- Door: index.
CREATE OR REPLACE FUNCTION awa.purge_dlq(p_kind text DEFAULT NULL, p_queue text DEFAULT NULL,
        p_tag text DEFAULT NULL, p_reason text DEFAULT NULL, p_from timestamptz DEFAULT NULL,
        p_to timestamptz DEFAULT NULL, p_all boolean DEFAULT false, p_limit int DEFAULT NULL,
        p_before bigint DEFAULT NULL, p_dry_run boolean DEFAULT false)
RETURNS awa.bulk_result
LANGUAGE plpgsql
AS $$
DECLARE
    v_filter CONSTANT awa.job_filter := awa.begin_bulk(p_kind, p_queue, p_tag, p_all, p_limit,
                                                       p_before, p_reason, p_from, p_to);
    v_jobs awa.jobs[] := awa.find_dead(v_filter);
    v_result awa.bulk_result := awa.bulk_report(v_jobs, v_filter);
BEGIN
    IF NOT p_dry_run THEN
        v_result.changed := awa.forget_dead(ARRAY(SELECT j.id FROM unnest(v_jobs) AS j));
    END IF;
    RETURN v_result;
END
$$;
