-- Exact counts of queue $1, or of each (NULL).
-- returns: queue and a count for each state, without waiting_external, for which there is no way
-- yet; no row if the queue is not known
SELECT c.queue, c.available, c.scheduled, c.retryable, c.running, c.completed, c.failed,
       c.cancelled
  FROM awa.queue_counts($1::text) AS c
