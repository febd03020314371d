-- The same as counters_rebuild.
-- returns: queues json, a list; and how much they differ in all
SELECT coalesce(json_agg(r ORDER BY r.queue), '[]') AS queues,
       coalesce(sum(r.corrected), 0)::bigint AS corrected
  FROM awa.rebuild_terminal_counters($1::boolean) AS r
