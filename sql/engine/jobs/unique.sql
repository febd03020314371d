-- SPDX-License-Identifier: MIT
-- Unique keys. A key belongs to a job while that job lives. Nothing is written when a job ends: an insert
-- that wants a key that is taken asks whether its holder still lives, and takes the key over if not. So
-- the hot path, which closes jobs, does nothing about keys.

-- Take a unique key for a job. Waits only for a transaction that holds the same key.
-- Returns whether the job has it now.
CREATE OR REPLACE FUNCTION awa.take_unique_key(p_unique_key text, p_id bigint)
RETURNS boolean
LANGUAGE plpgsql
AS $$
DECLARE
    v_holder bigint;
BEGIN
    LOOP
        INSERT INTO awa.unique_keys AS u (unique_key, id)
        VALUES (p_unique_key, p_id)
            ON CONFLICT DO NOTHING;
        IF FOUND THEN
            RETURN true;
        END IF;

        SELECT u.id INTO v_holder
          FROM awa.unique_keys AS u WHERE u.unique_key = p_unique_key FOR UPDATE;
        CONTINUE WHEN NOT FOUND;
        IF v_holder = p_id THEN
            RETURN true;
        END IF;
        IF awa.job_is_live(v_holder) THEN
            RETURN false;
        END IF;
        UPDATE awa.unique_keys AS u SET id = p_id WHERE u.unique_key = p_unique_key;
        RETURN true;
    END LOOP;
END
$$;

-- Take the unique keys of jobs, in ascending order, as every inserter does. Returns the jobs that have no
-- key, or have it now.
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
        -- The holder may be one of these jobs: it does not live again yet, but it has its key.
        CONTINUE WHEN EXISTS (SELECT 1 FROM unnest(v_jobs) AS j
                               WHERE j.unique_key = v_job.unique_key);
        IF awa.take_unique_key(v_job.unique_key, v_job.id) THEN
            v_jobs := v_jobs || v_job;
        END IF;
    END LOOP;
    RETURN v_jobs;
END
$$;

-- Forget the unique keys of jobs that are gone for good.
CREATE OR REPLACE FUNCTION awa.drop_unique_keys(p_unique_keys text[], p_ids bigint[])
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    DELETE FROM awa.unique_keys AS u
     USING unnest(p_unique_keys, p_ids) AS j (unique_key, id)
     WHERE u.unique_key = j.unique_key AND u.id = j.id;
END
$$;

-- Forget at most p_max keys of jobs that have ended in a slot that is about to be truncated: the jobs
-- were completed, failed, cancelled or deleted there, and did not come back. The keys are locked first,
-- and then the function looks whether their jobs have ended: a transaction that is about to retry one of
-- them has locked its key by then. Returns whether there may be more.
CREATE OR REPLACE FUNCTION awa.forget_keys(p_slot smallint, p_max int)
RETURNS boolean
LANGUAGE plpgsql
SET enable_seqscan = off
AS $$
DECLARE
    v_ended int8multirange;
    v_keys text[];
    v_ids bigint[];
    v_positions bigint[];
BEGIN
    IF NOT EXISTS (SELECT 1 FROM awa.unique_keys) THEN
        RETURN false;
    END IF;
    v_ended := awa.ended_here(p_slot);
    SELECT array_agg(k.unique_key), array_agg(k.id), array_agg(k.pos)
      INTO v_keys, v_ids, v_positions
      FROM (SELECT u.unique_key, u.id, e.pos
              FROM (SELECT e.unique_key, e.id, e.pos
                      FROM awa.ready_entries AS e
                     WHERE e.ready_slot = p_slot AND e.unique_key IS NOT NULL AND e.pos <@ v_ended
                    OFFSET 0) AS e -- a join could begin with the keys of all jobs that live
             CROSS JOIN LATERAL (
                    SELECT u.unique_key, u.id
                      FROM awa.unique_keys AS u
                     WHERE u.unique_key = e.unique_key AND u.id = e.id
                       FOR UPDATE SKIP LOCKED) AS u
             LIMIT p_max) AS k;
    v_ended := awa.ended_here(p_slot);
    DELETE FROM awa.unique_keys AS u
     USING unnest(v_keys, v_ids, v_positions) AS k (unique_key, id, pos)
     WHERE u.unique_key = k.unique_key AND u.id = k.id AND k.pos <@ v_ended;
    RETURN coalesce(cardinality(v_keys), 0) = p_max;
END
$$;

-- The positions of a slot where jobs have ended for good: the jobs do not live on elsewhere, and were not
-- taken back. A dead letter may run again; its key is forgotten with it (awa.forget_dead).
CREATE OR REPLACE FUNCTION awa.ended_here(p_slot smallint)
RETURNS int8multirange
LANGUAGE plpgsql
AS $$
DECLARE
    v_closed int8multirange;
    v_ended int8multirange;
    v_left int8multirange;
    v_withdrawn int8multirange;
BEGIN
    SELECT coalesce(range_agg(k.positions), '{}'),
           coalesce(range_agg(k.positions) FILTER (WHERE k.outcome IN ('completed', 'failed',
                                                                       'cancelled', 'deleted')), '{}')
      INTO v_closed, v_ended
      FROM awa.closures AS k
     WHERE k.ready_slot = p_slot;
    SELECT coalesce(range_agg(int8range(t.pos, t.pos + 1)), '{}'),
           coalesce(range_agg(int8range(t.pos, t.pos + 1))
                    FILTER (WHERE t.reason IN ('cancelled', 'removed')), '{}')
      INTO v_left, v_withdrawn
      FROM awa.ready_tombstones AS t
     WHERE t.ready_slot = p_slot;
    RETURN (v_ended - v_left) + (v_withdrawn - v_closed);
END
$$;
