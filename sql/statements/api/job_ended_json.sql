-- Whether job $1 has ended, and how.
-- returns: job json, NULL if it has not ended; completed boolean; no row if the job is not known
SELECT CASE WHEN j.state IN ('completed', 'failed', 'cancelled') THEN awa.job_json(j) END AS job,
       j.state = 'completed' AS completed
  FROM awa.get_job($1::bigint) AS j
