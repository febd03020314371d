-- Exact counts of queue $1, or of each (NULL).
-- returns: queue and a count for each state; no row if the queue is not known
SELECT c.queue, c.available, c.scheduled, c.retryable, c.running,
       c.waiting_external AS waiting, c.completed, c.failed, c.cancelled
  FROM awa.queue_counts($1::text) AS c
