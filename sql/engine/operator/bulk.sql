-- SPDX-License-Identifier: MIT
-- What an operator does to many failed jobs at once: retry, discard.

-- How many jobs one call of a bulk verb takes by default.
CREATE OR REPLACE FUNCTION awa.default_bulk_limit()
RETURNS int
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 1000;

-- Begin a bulk verb: take the lock of history. Returns what the verb looks for, from the parameters that
-- it was called with; NULL: any. Raises JQ001 unless one names something, or p_all says that all jobs are
-- meant.
CREATE OR REPLACE FUNCTION awa.begin_bulk(p_kind text, p_queue text, p_tag text, p_all boolean,
        p_limit int, p_before bigint, p_reason text DEFAULT NULL, p_from timestamptz DEFAULT NULL,
        p_to timestamptz DEFAULT NULL)
RETURNS awa.job_filter
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM awa.enter_history();
    IF p_limit NOT BETWEEN 1 AND 10000 THEN
        RAISE EXCEPTION 'limit: want 1 to 10000, got %', p_limit USING ERRCODE = 'JQ001';
    END IF;
    IF p_all IS NOT TRUE
       AND num_nonnulls(p_kind, p_queue, p_tag, p_reason, p_from, p_to) = 0 THEN
        RAISE EXCEPTION 'filter: missing; give one, or say that all are meant'
              USING ERRCODE = 'JQ001';
    END IF;
    RETURN ROW(p_kind, p_queue, p_tag, p_reason, p_from, p_to,
               coalesce(p_before, 9223372036854775807),
               coalesce(p_limit, awa.default_bulk_limit()))::awa.job_filter;
END
$$;

-- The failed jobs that match a filter, newest id first; without those in the dead-letter queue.
CREATE OR REPLACE FUNCTION awa.find_failed(p_filter awa.job_filter)
RETURNS awa.jobs[]
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    RETURN (SELECT coalesce(array_agg(f.job), '{}')
              FROM (SELECT j AS job
                      FROM awa.done_entries AS d
                     CROSS JOIN LATERAL awa.job_at(d.id, d.ready_slot, d.pos) AS j
                     WHERE d.state = 'failed' AND d.id < p_filter.before_id
                       AND (p_filter.kind IS NULL OR j.kind = p_filter.kind)
                       AND (p_filter.queue IS NULL OR j.queue = p_filter.queue)
                       AND (p_filter.tag IS NULL OR p_filter.tag = ANY (j.tags))
                     ORDER BY d.id DESC
                     LIMIT p_filter.max_jobs) AS f);
END
$$;

-- The result of a bulk verb that has found p_jobs and changed nothing yet.
CREATE OR REPLACE FUNCTION awa.bulk_report(p_jobs awa.jobs[], p_filter awa.job_filter)
RETURNS awa.bulk_result
LANGUAGE plpgsql
AS $$
DECLARE
    v_n int := cardinality(p_jobs);
BEGIN
    RETURN ROW(v_n, 0, 0, ARRAY(SELECT j.id FROM unnest(p_jobs[:10]) AS j),
               CASE WHEN v_n = p_filter.max_jobs THEN p_jobs[v_n].id END)::awa.bulk_result;
END
$$;

-- Take terminal jobs out of history, in order of slot and position. A job that was carried meanwhile is
-- taken from its new slot. Returns the jobs that this call took.
CREATE OR REPLACE FUNCTION awa.take_back_jobs(p_jobs awa.jobs[], p_reason awa.withdrawal)
RETURNS awa.jobs[]
LANGUAGE plpgsql
AS $$
DECLARE
    v_left awa.jobs[] := p_jobs;
    v_slot record;
    v_jobs awa.jobs[] := '{}';
    v_taken int8multirange;
    v_missed awa.jobs[];
BEGIN
    FOR i IN 1 .. 10 LOOP
        v_missed := '{}';
        FOR v_slot IN
            SELECT j.ready_slot, range_agg(int8range(j.pos, j.pos + 1)) AS positions
              FROM unnest(v_left) AS j
             GROUP BY j.ready_slot
             ORDER BY j.ready_slot
        LOOP
            v_taken := awa.take_back(v_slot.ready_slot, v_slot.positions, p_reason);
            v_jobs := v_jobs || ARRAY(SELECT j FROM unnest(v_left) AS j
                                       WHERE j.ready_slot = v_slot.ready_slot AND v_taken @> j.pos);
            v_missed := v_missed || ARRAY(SELECT j FROM unnest(v_left) AS j
                                           WHERE j.ready_slot = v_slot.ready_slot
                                             AND NOT v_taken @> j.pos);
        END LOOP;
        v_left := ARRAY(SELECT n
                          FROM unnest(v_missed) AS j
                         CROSS JOIN LATERAL awa.get_job(j.id) AS n
                         WHERE n.state = j.state AND n.pos = j.pos
                           AND n.ready_slot <> j.ready_slot);
        EXIT WHEN cardinality(v_left) = 0;
    END LOOP;
    RETURN v_jobs;
END
$$;

-- Run failed jobs that match every filter again, as awa.retry_job() does: newest id first, at most
-- p_limit of them. Needs a filter, or p_all. A job whose unique key a newer job holds stays, and is
-- counted as a conflict. With p_dry_run it only counts.
-- Door: index.
CREATE OR REPLACE FUNCTION awa.retry_failed(p_kind text DEFAULT NULL, p_queue text DEFAULT NULL,
        p_tag text DEFAULT NULL, p_all boolean DEFAULT false, p_limit int DEFAULT NULL,
        p_before bigint DEFAULT NULL, p_dry_run boolean DEFAULT false)
RETURNS awa.bulk_result
LANGUAGE plpgsql
AS $$
DECLARE
    v_filter CONSTANT awa.job_filter := awa.begin_bulk(p_kind, p_queue, p_tag, p_all, p_limit,
                                                       p_before);
    v_jobs awa.jobs[] := awa.find_failed(v_filter);
    v_result awa.bulk_result := awa.bulk_report(v_jobs, v_filter);
BEGIN
    IF NOT p_dry_run AND v_result.matched > 0 THEN
        v_jobs := awa.take_unique_keys(v_jobs);
        v_result.conflicts := v_result.matched - cardinality(v_jobs);
        v_jobs := awa.take_back_jobs(v_jobs, 'removed');
        v_jobs := ARRAY(SELECT j FROM unnest(v_jobs) AS j ORDER BY j.id);
        PERFORM awa.add_entries(ARRAY(SELECT awa.fresh_job(v_jobs[i], i)
                                        FROM generate_subscripts(v_jobs, 1) AS i));
        v_result.changed := cardinality(v_jobs);
    END IF;
    RETURN v_result;
END
$$;

-- Forget failed jobs that match every filter, and their unique keys.
-- Door: index.
CREATE OR REPLACE FUNCTION awa.discard_failed(p_kind text DEFAULT NULL, p_queue text DEFAULT NULL,
        p_tag text DEFAULT NULL, p_all boolean DEFAULT false, p_limit int DEFAULT NULL,
        p_before bigint DEFAULT NULL, p_dry_run boolean DEFAULT false)
RETURNS awa.bulk_result
LANGUAGE plpgsql
AS $$
DECLARE
    v_filter CONSTANT awa.job_filter := awa.begin_bulk(p_kind, p_queue, p_tag, p_all, p_limit,
                                                       p_before);
    v_jobs awa.jobs[] := awa.find_failed(v_filter);
    v_result awa.bulk_result := awa.bulk_report(v_jobs, v_filter);
BEGIN
    IF NOT p_dry_run THEN
        v_jobs := awa.take_back_jobs(v_jobs, 'removed');
        v_result.changed := cardinality(v_jobs);
        PERFORM awa.drop_unique_keys(array_agg(j.unique_key), array_agg(j.id))
           FROM unnest(v_jobs) AS j WHERE j.unique_key IS NOT NULL;
    END IF;
    RETURN v_result;
END
$$;
