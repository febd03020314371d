-- How many failed jobs queue $1, or all queues (NULL), have: that are still there, that were pruned, and
-- that are dead letters.
-- returns: one row of failed, pruned, dead bigint
SELECT coalesce(sum(c.failed), 0)::bigint AS failed,
       coalesce(sum(c.pruned_failed), 0)::bigint AS pruned,
       coalesce(sum(c.dead_lettered), 0)::bigint AS dead
  FROM awa.queue_counts($1::text) AS c
