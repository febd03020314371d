-- How many dead letters queue $1 has, or each that has some (NULL).
-- returns: queue, depth, and since when the oldest is dead
SELECT d.queue, d.depth, date_trunc('second', d.oldest_at) AS oldest
  FROM awa.dlq_depth($1::text) AS d
