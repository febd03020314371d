-- The same as workers_list.
-- returns: workers json, a list
SELECT coalesce(json_agg(w ORDER BY w.ended_at IS NOT NULL, w.name, w.worker_id), '[]') AS workers
  FROM awa.worker_list AS w
 WHERE w.ended_at IS NULL OR $1::boolean
