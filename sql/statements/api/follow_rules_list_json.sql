-- Standing rules for follow-ups, by name.
-- returns: rules json, a list
SELECT coalesce(json_agg(r ORDER BY r.name), '[]') AS rules FROM awa.list_follow_rules() AS r
