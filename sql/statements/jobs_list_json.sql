-- The same as jobs_list, whole.
-- returns: jobs json, a list
SELECT coalesce(json_agg(j ORDER BY j.id DESC), '[]') AS jobs
  FROM awa.list_jobs($1::awa.job_state, $2::text, $3::text, $4::text, $5::bigint, $6::int) AS j
