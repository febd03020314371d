-- Queues and their settings, for a table.
-- returns: queue, since when and by whom it is paused, enqueue shards, deadline, aging interval,
-- how many live workers and lanes it has
SELECT q.queue, coalesce('since ' || date_trunc('second', q.paused_at) || ' by ' || q.paused_by,
                         'no') AS paused,
       q.enqueue_shards AS shards, q.deadline, q.aging_interval AS aging, q.workers, q.lanes
  FROM awa.queue_list AS q
 ORDER BY q.queue
