-- Gauges of queue $1, or of each queue (NULL), at a bounded cost.
-- returns: queue, and counts whose names say which bound each is; no row if the queue is not known
SELECT c.queue, c.available AS "available<=", c.deferred AS "deferred>=", c.running,
       c.completed AS "completed>=", c.failed AS "failed>=", c.cancelled AS "cancelled>=",
       c.dead_lettered AS "dead>="
  FROM awa.queue_counts_fast() AS c
 WHERE $1::text IS NULL OR c.queue = $1::text
