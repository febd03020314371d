-- Workers, for a table. Those that have ended are listed only if $1.
-- returns: name, state, its queues and kinds, since when it is registered, when it was last seen, and how
-- many jobs were rescued from it
SELECT w.name, CASE WHEN w.ended_at IS NOT NULL THEN 'ended'
                    WHEN w.leads THEN 'leads' ELSE 'works' END AS state,
       array_to_string(w.queues, ' ') AS queues,
       coalesce(array_to_string(w.kinds, ' '), '(every)') AS kinds,
       date_trunc('second', w.registered_at) AS since,
       round(extract(epoch FROM clock_timestamp() - w.last_seen_at), 1) || 's ago' AS seen,
       w.rescued
  FROM awa.worker_list AS w
 WHERE w.ended_at IS NULL OR $1::boolean
 ORDER BY w.ended_at IS NOT NULL, w.name, w.worker_id
