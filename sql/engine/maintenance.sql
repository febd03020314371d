-- SPDX-License-Identifier: MIT
-- What the leader notes about its tasks, for awa.health().

-- A task, which is one statement, has failed with an error, or succeeded (NULL). Called by the leader
-- when that changes, and once a minute while it goes on, so that nobody takes an old note for news.
CREATE OR REPLACE FUNCTION awa.note_maintenance(p_task text, p_error text DEFAULT NULL,
        p_now timestamptz DEFAULT clock_timestamp())
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
SET max_parallel_workers_per_gather = 0
AS $$
DECLARE
    v_error text := left(p_error, 250); -- characters of up to four bytes
BEGIN
    INSERT INTO awa.maintenance_tasks AS t (task, succeeded_at, failing_since, failed_at, error)
    VALUES (p_task, CASE WHEN v_error IS NULL THEN p_now END,
            CASE WHEN v_error IS NOT NULL THEN p_now END,
            CASE WHEN v_error IS NOT NULL THEN p_now END, v_error)
        ON CONFLICT (task) DO UPDATE
       SET succeeded_at = coalesce(excluded.succeeded_at, t.succeeded_at),
           failing_since = CASE WHEN v_error IS NULL THEN NULL
                                WHEN awa.is_failing(t, p_now) THEN t.failing_since
                                ELSE p_now END,
           failed_at = coalesce(excluded.failed_at, t.failed_at),
           error = coalesce(excluded.error, t.error);
END
$$;

-- Whether a task fails at the moment: a failure that is not repeated has passed, or was of a task
-- that nobody needs any more.
CREATE OR REPLACE FUNCTION awa.is_failing(p_task awa.maintenance_tasks, p_now timestamptz)
RETURNS boolean
LANGUAGE sql IMMUTABLE
RETURN (p_task).failing_since IS NOT NULL AND (p_task).failed_at > p_now - interval '3 min';
