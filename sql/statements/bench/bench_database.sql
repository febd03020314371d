-- For awa bench: is there a database called $1?
-- returns: comment text; no row: there is none
SELECT coalesce(shobj_description(d.oid, 'pg_database'), '') AS comment
  FROM pg_catalog.pg_database AS d
 WHERE d.datname = $1::text
