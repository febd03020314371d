-- For awa bench: all jobs of the ring, counted one by one.
-- returns: n bigint
SELECT count(*) AS n FROM awa.ready_entries
