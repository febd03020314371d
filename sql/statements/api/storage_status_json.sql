-- The same as storage_status.
-- returns: status json, an object; its exact and fast are sums over all queues, NULL if there is no queue
SELECT json_object_agg(v.item, v.value) AS status
  FROM (SELECT replace(s.item, ' ', '_') AS item, to_json(s.value) AS value
          FROM awa.storage_status() AS s
        UNION ALL
        SELECT 'exact', (SELECT json_build_object(
                    'available', sum(c.available), 'scheduled', sum(c.scheduled),
                    'retryable', sum(c.retryable), 'running', sum(c.running),
                    'waiting_external', sum(c.waiting_external),
                    'completed', sum(c.completed), 'failed', sum(c.failed),
                    'cancelled', sum(c.cancelled), 'dead_lettered', sum(c.dead_lettered),
                    'pruned_completed', sum(c.pruned_completed),
                    'pruned_failed', sum(c.pruned_failed),
                    'pruned_cancelled', sum(c.pruned_cancelled))
                  FROM awa.queue_counts() AS c HAVING count(*) > 0)
        UNION ALL
        SELECT 'fast', (SELECT json_build_object(
                    'available', sum(f.available), 'deferred', sum(f.deferred),
                    'running', sum(f.running), 'completed', sum(f.completed),
                    'failed', sum(f.failed), 'cancelled', sum(f.cancelled),
                    'dead_lettered', sum(f.dead_lettered))
                  FROM awa.queue_counts_fast() AS f HAVING count(*) > 0)) AS v
