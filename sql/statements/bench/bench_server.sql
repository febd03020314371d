-- For awa bench: the server on which the bench runs.
-- returns: name, setting text
SELECT s.name, current_setting(s.name) AS setting
  FROM pg_catalog.pg_settings AS s
 WHERE s.name IN ('server_version', 'fsync', 'synchronous_commit', 'full_page_writes', 'wal_level',
                  'shared_buffers', 'max_wal_size')
 ORDER BY array_position(ARRAY['server_version', 'fsync', 'synchronous_commit'], s.name), s.name
