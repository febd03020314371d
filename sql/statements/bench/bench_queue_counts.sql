-- For awa bench: the exact counts of all queues, added up.
-- returns: completed, failed
SELECT sum(c.completed) AS completed, sum(c.failed) AS failed FROM awa.queue_counts() AS c
