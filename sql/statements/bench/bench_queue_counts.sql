-- The exact counts of all queues.
-- returns: completed and failed jobs
SELECT sum(c.completed) AS completed, sum(c.failed) AS failed FROM awa.queue_counts() AS c
