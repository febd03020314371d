-- SPDX-License-Identifier: MIT
-- Deferred jobs become runnable when their time has come.

-- Promote up to p_max due jobs, in order of their time. Looks only at jobs that are due after p_from,
-- which the leader moves on: otherwise it would meet index entries of jobs that were promoted long ago,
-- as long as an old snapshot keeps them from being cleaned away. Now and then the leader looks from the
-- beginning, for jobs whose transaction committed late. A row that is locked (its job is being cancelled,
-- say) is passed over. Returns how many were promoted, and the time of the last one.
-- Door: hot.
CREATE OR REPLACE FUNCTION awa.promote_jobs(p_from timestamptz DEFAULT '-infinity',
        p_max int DEFAULT 5000, p_now timestamptz DEFAULT clock_timestamp(),
        OUT promoted int, OUT up_to timestamptz)
LANGUAGE plpgsql
SET enable_sort = off
AS $$
DECLARE
    v_jobs awa.new_job[];
BEGIN
    PERFORM awa.require_durable();
    -- By ctid: such a plan cannot be turned into a join over the whole table. The rows are locked, so
    -- they stay where they are.
    WITH gone AS (
        DELETE FROM awa.deferred_jobs AS d
         WHERE d.ctid = ANY (ARRAY(
                SELECT due.ctid
                  FROM awa.deferred_jobs AS due
                 WHERE due.run_at > p_from AND due.run_at <= p_now
                 ORDER BY due.run_at, due.id
                 LIMIT p_max
                   FOR UPDATE SKIP LOCKED))
        RETURNING d AS job, d.run_at, d.id)
    SELECT array_agg(g.job), max(g.run_at)
      INTO v_jobs, up_to
      FROM (SELECT awa.job_of_deferred(row_number() OVER (ORDER BY g.run_at, g.id), g.job) AS job,
                   g.run_at
              FROM gone AS g) AS g;
    promoted := coalesce(cardinality(v_jobs), 0);
    IF promoted > 0 THEN
        PERFORM awa.add_entries(v_jobs);
    END IF;
END
$$;
