-- Exact counts of queue $1, or of each queue (NULL).
-- returns: queue, and a count for each state but waiting_external, which no job can have yet; how many
-- jobs are dead letters; how many were pruned. No row if the queue is not known
SELECT c.queue, c.available, c.scheduled, c.retryable, c.running, c.completed, c.failed,
       c.cancelled, c.dead_lettered AS dead,
       c.pruned_completed + c.pruned_failed + c.pruned_cancelled AS pruned
  FROM awa.queue_counts($1::text) AS c
