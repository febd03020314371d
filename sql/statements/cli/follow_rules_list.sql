-- Standing rules for follow-ups, for a table.
-- returns: name, of which event, queue and kind, the kind of the job that follows and the rest of it, when
-- and by whom it was set
SELECT r.name, r."on", coalesce(r.queue, 'any') AS queue, coalesce(r.kind, 'any') AS kind,
       r.job ->> 'kind' AS follows, date_trunc('second', r.created_at) AS set_at,
       r.created_by AS set_by, (r.job - 'kind')::text AS job
  FROM awa.list_follow_rules() AS r
 ORDER BY r.name
