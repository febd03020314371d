-- The same as workers_list. An id may pass 2^53, so it is a string.
-- returns: workers json, a list
SELECT coalesce(jsonb_agg(to_jsonb(w) || jsonb_build_object('worker_id', w.worker_id::text)
                          ORDER BY w.ended_at IS NOT NULL, w.name, w.worker_id), '[]') AS workers
  FROM awa.worker_list AS w
 WHERE w.ended_at IS NULL OR $1::boolean
