-- How many dead letters queue $1 has, or each queue that has some (NULL).
-- returns: queue, depth, and since when its oldest dead letter is there
SELECT d.queue, d.depth, date_trunc('second', d.oldest_at) AS oldest
  FROM awa.dlq_depth($1::text) AS d
