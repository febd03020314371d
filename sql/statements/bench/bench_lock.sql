-- For awa bench: keep database $1 for this session, so that no other awa bench drops it.
-- returns: locked boolean
SELECT pg_try_advisory_lock(hashtextextended('awa bench ' || $1::text, 0)) AS locked
