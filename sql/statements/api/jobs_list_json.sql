-- Jobs, newest id first: in state $1, of kind $2, in queue $3, with tag $4 (NULL: any), with ids below
-- $5; at most $6.
-- returns: jobs json, a list; and the cursor of the next page, NULL if there is none
SELECT coalesce(jsonb_agg(awa.job_json(j) ORDER BY j.id DESC), '[]') AS jobs,
       CASE WHEN count(*) = $6::int THEN min(j.id) END AS next
  FROM awa.list_jobs(awa.need_state($1::text), $2::text, $3::text, $4::text, $5::bigint, $6::int) AS j
