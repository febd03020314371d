-- The same as queue_counts.
-- returns: counts json, a list, NULL if there is nothing
SELECT json_agg(c ORDER BY c.queue) AS counts FROM awa.queue_counts($1::text) AS c
