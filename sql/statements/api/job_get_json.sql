-- Everything about job $1. Numbers that may pass 2^53 are strings, because many readers of JSON would
-- round them.
-- returns: job json, and whether it is in the dead-letter queue; no row if the job is not known
SELECT to_jsonb(j) || jsonb_build_object('pos', j.pos::text, 'worker_id', j.worker_id::text) AS job,
       j.dlq_at IS NOT NULL AS dead
  FROM awa.get_job($1::bigint) AS j
