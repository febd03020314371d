-- SPDX-License-Identifier: MIT
-- What an operator does to single jobs: cancel and retry; and what plain SQL does to jobs: DELETE FROM
-- and INSERT INTO awa.jobs.

-- Cancel a job in any live state: deferred, waiting or running. The worker of a running job is told, and
-- what it still reports is stale. Locks: the lane, while the job waits in it. Returns whether there was
-- something to cancel.
-- Door: lookup.
CREATE OR REPLACE FUNCTION awa.cancel_job(p_id bigint, p_reason text DEFAULT NULL)
RETURNS boolean
LANGUAGE plpgsql
AS $$
DECLARE
    v_reason CONSTANT text := coalesce(p_reason, 'cancelled by an operator');
    v_job awa.jobs;
    v_deferred awa.deferred_jobs;
    v_pos bigint;
    v_slot smallint;
BEGIN
    PERFORM awa.require_read_committed('cancel');
    FOR i IN 1 .. 10 LOOP -- the job may move on while we look
        DELETE FROM awa.deferred_jobs AS d WHERE d.id = p_id RETURNING d.* INTO v_deferred;
        IF FOUND THEN
            SELECT e.first_pos, e.ready_slot INTO v_pos, v_slot
              FROM awa.put_entries(awa.open_lane(v_deferred.queue, v_deferred.priority,
                                                 v_deferred.enqueue_shard),
                                   ARRAY[awa.job_of_deferred(1, v_deferred)]) AS e;
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
            PERFORM awa.apply_ends(awa.follow_rows(ARRAY[
                    awa.terminal(v_job.ready_slot, v_job.pos, 'cancelled', p_id, v_job.attempt,
                        awa.error_entry(v_job.attempt, v_reason, 'cancelled', clock_timestamp()))]));
            PERFORM awa.notify_worker(v_job.worker_id);
            RETURN true;
        ELSE
            -- We hold the lane's lock: no claim or carry comes now. One may have come before.
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

-- Cancel the live job that holds a unique key. Returns its id; NULL if there is none. Raises JQ001.
-- Door: lookup.
CREATE OR REPLACE FUNCTION awa.cancel_job_by_key(p_unique_key text, p_reason text DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_id bigint;
BEGIN
    PERFORM awa.require_read_committed('cancel');
    IF octet_length(p_unique_key) BETWEEN 1 AND 200 IS NOT TRUE THEN
        RAISE EXCEPTION 'unique_key: want 1 to 200 bytes, got %', coalesce(octet_length(p_unique_key), 0)
              USING ERRCODE = 'JQ001';
    END IF;
    SELECT u.id INTO v_id FROM awa.unique_keys AS u WHERE u.unique_key = p_unique_key;
    IF awa.cancel_job(v_id, p_reason) THEN
        RETURN v_id;
    END IF;
    RETURN NULL;
END
$$;

-- Run a failed or cancelled job again, from attempt 0, with its errors. A deferred job becomes due at
-- once. A job in the dead-letter queue is left to awa.retry_dlq(). Returns whether there was something to
-- retry. Raises JQ004 if a newer live job holds its unique key.
-- Door: lookup.
CREATE OR REPLACE FUNCTION awa.retry_job(p_id bigint)
RETURNS boolean
LANGUAGE plpgsql
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
        -- The key before the job: a transaction that takes many jobs uses this order, too.
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

-- A job that begins anew: from attempt 0, with its errors.
CREATE OR REPLACE FUNCTION awa.fresh_job(p_job awa.jobs, p_ord int)
RETURNS awa.new_job
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN ROW(p_ord, (p_job).id, (p_job).kind, (p_job).args, (p_job).queue, (p_job).priority,
               (p_job).enqueue_shard, (p_job).max_attempts, NULL, (p_job).tags, (p_job).metadata,
               (p_job).unique_key, NULL, 0, (p_job).errors, NULL,
               (p_job).created_at, (p_job).options)::awa.new_job;
END
$$;

-- ---- By plain SQL --------------------------------------------------------------------------

-- Delete a job in any state. The worker of a running job is told, and what it still reports is stale.
-- Waits for half a second at most for a transaction that is moving or ending the job, and then raises
-- JQ006. Returns whether there was such a job.
-- Door: lookup.
CREATE OR REPLACE FUNCTION awa.delete_job_compat(p_id bigint)
RETURNS boolean
LANGUAGE plpgsql
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
            IF v_job.state NOT IN ('completed', 'failed', 'cancelled') THEN
                PERFORM awa.follow_job(v_job, 'deleted');
            END IF;
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

-- Delete a job where it was just seen. Returns whether it was still there.
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
        -- We hold the lane's lock: no claim or carry comes now. One may have come before.
        PERFORM awa.take_lane(v_lane);
        SELECT j.* INTO v_job FROM awa.get_job((p_job).id) AS j LIMIT 1;
        RETURN v_job.state = 'available' AND v_job.pos = (p_job).pos
               AND NOT isempty(awa.add_tombstones(v_job.ready_slot, v_here, 'removed'));
    END IF;
    RETURN NOT isempty(awa.take_back((p_job).ready_slot, v_here, 'removed'));
END
$$;

-- Before DELETE FROM awa.jobs: one such statement at a time, see awa.enter_history().
-- Door: plain.
CREATE OR REPLACE FUNCTION awa.before_jobs_delete()
RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM awa.enter_history();
    RETURN NULL;
END
$$;

-- Door: plain.
CREATE OR REPLACE FUNCTION awa.on_job_delete()
RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    IF awa.delete_job_compat(OLD.id) THEN
        RETURN OLD;
    END IF;
    RETURN NULL;
END
$$;

-- INSERT INTO awa.jobs does what awa.insert_job() does. Columns that the engine fills cannot be given.
-- Door: plain.
CREATE OR REPLACE FUNCTION awa.on_job_insert()
RETURNS trigger
LANGUAGE plpgsql
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
                             NEW.run_at, NULL, NEW.tags, NEW.metadata, NEW.unique_key, NULL,
                             NEW.options);
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
