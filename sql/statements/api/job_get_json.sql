-- Everything about job $1.
-- returns: job json, and whether it is in the dead-letter queue; no row if the job is not known
SELECT awa.job_json(j) AS job,
       j.dlq_at IS NOT NULL AS dead
  FROM awa.get_job($1::bigint) AS j
