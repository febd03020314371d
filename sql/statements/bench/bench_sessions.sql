-- For awa bench: how many other sessions are in this database.
-- returns: n bigint
SELECT count(*) AS n
  FROM pg_catalog.pg_stat_activity AS a
 WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
   AND a.backend_type = 'client backend'
