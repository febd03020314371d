-- The same as jobs_list, with the whole jobs. Numbers that may pass 2^53 are strings.
-- returns: jobs json, a list
SELECT coalesce(jsonb_agg(to_jsonb(j) || jsonb_build_object('pos', j.pos::text,
                                                                    'worker_id', j.worker_id::text)
                          ORDER BY j.id DESC), '[]') AS jobs
  FROM awa.list_jobs($1::awa.job_state, $2::text, $3::text, $4::text, $5::bigint, $6::int) AS j
