-- The same as queues_list; intervals are in ms.
-- returns: queues json, a list
SELECT coalesce(json_agg(json_build_object(
            'queue', q.queue, 'paused_at', q.paused_at, 'paused_by', q.paused_by,
            'enqueue_shards', q.enqueue_shards,
            'deadline_ms', (extract(epoch FROM q.deadline) * 1000)::bigint,
            'aging_interval_ms', (extract(epoch FROM q.aging_interval) * 1000)::bigint,
            'dlq_enabled', q.dlq_enabled,
            'completed_retention_ms', (extract(epoch FROM q.completed_retention) * 1000)::bigint,
            'failed_retention_ms', (extract(epoch FROM q.failed_retention) * 1000)::bigint,
            'dlq_retention_ms', (extract(epoch FROM q.dlq_retention) * 1000)::bigint,
            'workers', q.workers, 'lanes', q.lanes) ORDER BY q.queue), '[]') AS queues
  FROM awa.queue_list AS q
