-- Look for late entries in gaps that were moved aside.
-- returns: left bigint, how many gaps are still aside
SELECT awa.sweep_gaps() AS left
