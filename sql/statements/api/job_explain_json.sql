-- The same as job_explain.
-- returns: findings json, a list, NULL if the job is not known
SELECT json_agg(e) AS findings FROM awa.explain_job($1::bigint) AS e
