-- SPDX-License-Identifier: MIT
-- requires: operate
-- What an operator does to jobs that have ended, many at once: retry, discard; and to any job by
-- plain SQL: DELETE FROM and INSERT INTO awa.jobs.

-- ---- Many at once --------------------------------------------------------------------------

-- How many jobs one call of a bulk verb takes if nobody says.
CREATE OR REPLACE FUNCTION awa.default_bulk_limit()
RETURNS int
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 1000;

-- A bulk verb needs a filter, or the word that all are meant.
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

-- Failed jobs that match every filter (NULL: any), newest id first, at most p_limit, below
-- p_before. Those in the dead-letter queue are not meant. Takes the lock of history.
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

-- What a bulk verb found.
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

-- Take terminal jobs out of history, in order of slot and position; those that were just carried,
-- from where they are now. Returns those that this call took.
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

-- Take the unique keys of jobs, in ascending order as every inserter does. Returns the jobs that
-- have no key, or have it now.
CREATE OR REPLACE FUNCTION awa.take_unique_keys(p_jobs awa.jobs[])
RETURNS awa.jobs[]
LANGUAGE plpgsql
AS $$
DECLARE
    v_job awa.jobs;
    v_jobs awa.jobs[] := ARRAY(SELECT j FROM unnest(p_jobs) AS j WHERE j.unique_key IS NULL);
BEGIN
    FOR v_job IN SELECT j.* FROM unnest(p_jobs) AS j
                  WHERE j.unique_key IS NOT NULL ORDER BY j.unique_key, j.id DESC LOOP
        -- The holder may be one of ours, which does not live yet.
        CONTINUE WHEN EXISTS (SELECT 1 FROM unnest(v_jobs) AS j
                               WHERE j.unique_key = v_job.unique_key);
        IF awa.take_unique_key(v_job.unique_key, v_job.id) THEN
            v_jobs := v_jobs || v_job;
        END IF;
    END LOOP;
    RETURN v_jobs;
END
$$;

-- Run failed jobs that match every filter again, as awa.retry_job() does, newest id first, at most
-- p_limit of them. Needs a filter, or p_all. Those whose unique key a newer job holds stay, and are
-- counted as conflicts. With p_dry_run only counts.
CREATE OR REPLACE FUNCTION awa.retry_failed(p_kind text DEFAULT NULL, p_queue text DEFAULT NULL,
        p_tag text DEFAULT NULL, p_all boolean DEFAULT false, p_limit int DEFAULT NULL,
        p_before bigint DEFAULT NULL, p_dry_run boolean DEFAULT false)
RETURNS awa.bulk_result
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
SET max_parallel_workers_per_gather = 0
SET enable_seqscan = off
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

-- Forget failed jobs that match every filter.
CREATE OR REPLACE FUNCTION awa.discard_failed(p_kind text DEFAULT NULL, p_queue text DEFAULT NULL,
        p_tag text DEFAULT NULL, p_all boolean DEFAULT false, p_limit int DEFAULT NULL,
        p_before bigint DEFAULT NULL, p_dry_run boolean DEFAULT false)
RETURNS awa.bulk_result
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
SET max_parallel_workers_per_gather = 0
SET enable_seqscan = off
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

-- ---- One job, by plain SQL -----------------------------------------------------------------

-- Delete a job in whatever state it is; the worker of a running one is told, and what it still
-- reports is stale. Waits half a second at most for somebody who is just moving or ending it; then
-- it raises JQ006. Returns whether there was such a job.
CREATE OR REPLACE FUNCTION awa.delete_job_compat(p_id bigint)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
SET max_parallel_workers_per_gather = 0
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
SET lock_timeout = '500ms'
AS $$
DECLARE
    v_job awa.jobs;
BEGIN
    PERFORM awa.require_read_committed('delete');
    FOR i IN 1 .. 10 LOOP -- the job may move on while we look
        SELECT j.* INTO v_job FROM awa.get_job(p_id) AS j LIMIT 1;
        IF NOT FOUND THEN
            RETURN false;
        END IF;
        IF awa.delete_here(v_job) THEN
            PERFORM awa.drop_unique_keys(ARRAY[v_job.unique_key], ARRAY[p_id])
              WHERE v_job.unique_key IS NOT NULL;
            RETURN true;
        END IF;
    END LOOP;
    RAISE EXCEPTION 'job %: keeps moving', p_id USING ERRCODE = 'JQ006', HINT = 'Try again.';
EXCEPTION WHEN lock_not_available THEN
    RAISE EXCEPTION 'job %: somebody else is just changing it', p_id
          USING ERRCODE = 'JQ006', HINT = 'Try again.';
END
$$;

-- The same where it was just seen. Returns whether it was still there.
CREATE OR REPLACE FUNCTION awa.delete_here(p_job awa.jobs)
RETURNS boolean
LANGUAGE plpgsql
AS $$
DECLARE
    v_here CONSTANT int8multirange := int8multirange(int8range((p_job).pos, (p_job).pos + 1));
    v_lane CONSTANT int := ((p_job).pos >> 44)::int;
    v_job awa.jobs;
BEGIN
    IF (p_job).dlq_at IS NOT NULL THEN
        DELETE FROM awa.dlq_entries AS d WHERE d.id = (p_job).id;
        RETURN FOUND;
    ELSIF (p_job).state IN ('scheduled', 'retryable') THEN
        DELETE FROM awa.deferred_jobs AS d WHERE d.id = (p_job).id;
        RETURN FOUND;
    ELSIF (p_job).state = 'running' THEN
        IF isempty(awa.add_closure((p_job).ready_slot, v_lane, v_here, 'deleted')) THEN
            RETURN false;
        END IF;
        PERFORM awa.notify_worker((p_job).worker_id);
        RETURN true;
    ELSIF (p_job).state = 'available' THEN
        -- Under the lane's lock nobody claims it; it may have been claimed or carried before.
        PERFORM awa.take_lane(v_lane);
        SELECT j.* INTO v_job FROM awa.get_job((p_job).id) AS j LIMIT 1;
        RETURN v_job.state = 'available' AND v_job.pos = (p_job).pos
               AND NOT isempty(awa.add_tombstones(v_job.ready_slot, v_here, 'removed'));
    END IF;
    RETURN NOT isempty(awa.take_back((p_job).ready_slot, v_here, 'removed'));
END
$$;

-- DELETE FROM awa.jobs: one statement after the other, see awa.enter_history().
CREATE OR REPLACE FUNCTION awa.before_jobs_delete()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
SET max_parallel_workers_per_gather = 0
AS $$
BEGIN
    PERFORM awa.enter_history();
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION awa.on_job_delete()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
SET max_parallel_workers_per_gather = 0
AS $$
BEGIN
    IF awa.delete_job_compat(OLD.id) THEN
        RETURN OLD;
    END IF;
    RETURN NULL;
END
$$;

-- INSERT INTO awa.jobs: as awa.insert_job(). What a job gets on its way cannot be given.
CREATE OR REPLACE FUNCTION awa.on_job_insert()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
SET max_parallel_workers_per_gather = 0
AS $$
DECLARE
    v_given text := CASE
        WHEN NEW.id IS NOT NULL THEN 'id'
        WHEN NEW.state IS NOT NULL THEN 'state'
        WHEN NEW.attempt IS NOT NULL THEN 'attempt'
        WHEN num_nonnulls(NEW.created_at, NEW.attempted_at, NEW.deadline_at, NEW.finalized_at,
                          NEW.dlq_at) > 0 THEN 'a time other than run_at'
        WHEN num_nonnulls(NEW.run_lease, NEW.worker_id, NEW.enqueue_shard, NEW.ready_slot, NEW.pos,
                          NEW.errors, NEW.output, NEW.dlq_reason) > 0 THEN 'what a worker writes'
        END;
BEGIN
    IF v_given IS NOT NULL THEN
        RAISE EXCEPTION 'awa.jobs: % cannot be given', v_given USING ERRCODE = 'JQ001';
    END IF;
    NEW.id := awa.insert_job(NEW.kind, NEW.args, NEW.queue, NEW.priority, NEW.max_attempts,
                             NEW.run_at, NULL, NEW.tags, NEW.metadata, NEW.unique_key);
    IF NEW.id IS NULL THEN
        RETURN NULL; -- a live job holds the unique key
    END IF;
    RETURN NEW;
END
$$;

CREATE OR REPLACE TRIGGER before_delete BEFORE DELETE ON awa.jobs
    FOR EACH STATEMENT EXECUTE FUNCTION awa.before_jobs_delete();
CREATE OR REPLACE TRIGGER on_delete INSTEAD OF DELETE ON awa.jobs
    FOR EACH ROW EXECUTE FUNCTION awa.on_job_delete();
CREATE OR REPLACE TRIGGER on_insert INSTEAD OF INSERT ON awa.jobs
    FOR EACH ROW EXECUTE FUNCTION awa.on_job_insert();
