-- Jobs, newest id first: in state $1, of kind $2, in queue $3, with tag $4 (NULL: any), with ids below
-- $5; at most $6. Numbers that may pass 2^53 are strings.
-- returns: jobs json, a list; and the cursor of the next page, NULL if there is none
SELECT coalesce(jsonb_agg(to_jsonb(j) || jsonb_build_object('pos', j.pos::text,
                                                                    'worker_id', j.worker_id::text)
                          ORDER BY j.id DESC), '[]') AS jobs,
       CASE WHEN count(*) = $6::int THEN min(j.id) END AS next
  FROM awa.list_jobs(awa.need_state($1::text), $2::text, $3::text, $4::text, $5::bigint, $6::int) AS j
