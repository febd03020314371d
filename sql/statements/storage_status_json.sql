-- The same as storage_status.
-- returns: status json, an object
SELECT json_object_agg(replace(s.item, ' ', '_'), s.value) AS status
  FROM awa.storage_status() AS s
