-- For awa bench: how much WAL the server has written.
-- returns: bytes numeric
SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn AS bytes
