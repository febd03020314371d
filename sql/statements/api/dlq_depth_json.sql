-- The same as dlq_depth.
-- returns: depths json, a list
SELECT coalesce(json_agg(d ORDER BY d.queue), '[]') AS depths FROM awa.dlq_depth($1::text) AS d
