-- Queues and their settings, for a table.
-- returns: queue, since when and by whom it is paused, enqueue shards, deadline, aging interval,
-- whether failed jobs go to the dead-letter queue, how long completed, failed and dead-lettered
-- jobs are kept, how many live workers and lanes it has
SELECT q.queue, coalesce('since ' || date_trunc('second', q.paused_at) || ' by ' || q.paused_by,
                         'no') AS paused,
       q.enqueue_shards AS shards, q.deadline, q.aging_interval AS aging,
       CASE WHEN q.dlq_enabled THEN 'on' ELSE 'off' END AS dlq,
       justify_hours(q.completed_retention) AS keep_completed,
       justify_hours(q.failed_retention) AS keep_failed,
       justify_hours(q.dlq_retention) AS keep_dead, q.workers, q.lanes
  FROM awa.queue_list AS q
 ORDER BY q.queue
