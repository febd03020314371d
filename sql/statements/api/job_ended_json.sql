-- Whether job $1 has ended, and how.
-- returns: job json, NULL if it has not ended; completed boolean; no row if the job is not known
SELECT CASE WHEN j.state IN ('completed', 'failed', 'cancelled')
            THEN to_jsonb(j) || jsonb_build_object('pos', j.pos::text, 'worker_id', j.worker_id::text)
       END AS job,
       j.state = 'completed' AS completed
  FROM awa.get_job($1::bigint) AS j
