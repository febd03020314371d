-- The same as health_check.
-- returns: health json, an object, and whether all is well
SELECT json_build_object('ok', bool_and(h.ok), 'checks', json_agg(h)) AS health,
       bool_and(h.ok) AS well
  FROM awa.health() AS h
