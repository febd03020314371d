-- SPDX-License-Identifier: MIT
-- What an operator does to many failed jobs at once: retry, discard.

-- How many jobs one call of a bulk verb takes by default.
CREATE OR REPLACE FUNCTION awa.default_bulk_limit()
RETURNS int
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 1000;

-- Raise JQ001 unless a bulk verb has a filter, or p_all says that all jobs are meant.
CREATE OR REPLACE FUNCTION awa.check_bulk(p_all boolean, p_limit int, VARIADIC p_filters text[])
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    IF p_limit NOT BETWEEN 1 AND 10000 THEN
        RAISE EXCEPTION 'limit: want 1 to 10000, got %', p_limit USING ERRCODE = 'JQ001';
    END IF;
    IF p_all IS NOT TRUE AND num_nonnulls(VARIADIC p_filters) = 0 THEN
        RAISE EXCEPTION 'filter: missing; give one, or say that all are meant'
              USING ERRCODE = 'JQ001';
    END IF;
END
$$;

-- The failed jobs that match every filter (NULL: any), newest id first, at most p_limit, with ids below
-- p_before; without those in the dead-letter queue. Takes the lock of history.
CREATE OR REPLACE FUNCTION awa.find_failed(p_kind text, p_queue text, p_tag text, p_all boolean,
        p_limit int, p_before bigint)
RETURNS awa.jobs[]
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    PERFORM awa.enter_history();
    PERFORM awa.check_bulk(p_all, p_limit, p_kind, p_queue, p_tag);
    RETURN (SELECT coalesce(array_agg(f.job), '{}')
              FROM (SELECT j AS job
                      FROM awa.done_entries AS d
                     CROSS JOIN LATERAL awa.job_at(d.id, d.ready_slot, d.pos) AS j
                     WHERE d.state = 'failed' AND d.id < coalesce(p_before, 9223372036854775807)
                       AND (p_kind IS NULL OR j.kind = p_kind)
                       AND (p_queue IS NULL OR j.queue = p_queue)
                       AND (p_tag IS NULL OR p_tag = ANY (j.tags))
                     ORDER BY d.id DESC
                     LIMIT coalesce(p_limit, awa.default_bulk_limit())) AS f);
END
$$;

-- The result of a bulk verb that has found p_jobs and changed nothing yet.
CREATE OR REPLACE FUNCTION awa.bulk_report(p_jobs awa.jobs[], p_limit int)
RETURNS awa.bulk_result
LANGUAGE plpgsql
AS $$
DECLARE
    v_n int := cardinality(p_jobs);
BEGIN
    RETURN ROW(v_n, 0, 0, ARRAY(SELECT j.id FROM unnest(p_jobs[:10]) AS j),
               CASE WHEN v_n = coalesce(p_limit, awa.default_bulk_limit())
                    THEN p_jobs[v_n].id END)::awa.bulk_result;
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
    v_jobs awa.jobs[];
    v_result awa.bulk_result;
BEGIN
    v_jobs := awa.find_failed(p_kind, p_queue, p_tag, p_all, p_limit, p_before);
    v_result := awa.bulk_report(v_jobs, p_limit);
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
    v_jobs awa.jobs[];
    v_result awa.bulk_result;
BEGIN
    v_jobs := awa.find_failed(p_kind, p_queue, p_tag, p_all, p_limit, p_before);
    v_result := awa.bulk_report(v_jobs, p_limit);
    IF NOT p_dry_run THEN
        v_jobs := awa.take_back_jobs(v_jobs, 'removed');
        v_result.changed := cardinality(v_jobs);
        PERFORM awa.drop_unique_keys(array_agg(j.unique_key), array_agg(j.id))
           FROM unnest(v_jobs) AS j WHERE j.unique_key IS NOT NULL;
    END IF;
    RETURN v_result;
END
$$;
