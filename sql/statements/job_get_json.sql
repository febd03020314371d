-- All about job $1.
-- returns: job json; no row if the job is not known
SELECT to_json(j) AS job FROM awa.get_job($1::bigint) AS j
