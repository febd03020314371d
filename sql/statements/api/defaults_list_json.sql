-- The same as defaults_list; intervals are in ms.
-- returns: defaults json, an object
SELECT json_build_object(
           'deadline_ms', (extract(epoch FROM d.deadline) * 1000)::bigint,
           'aging_interval_ms', (extract(epoch FROM d.aging_interval) * 1000)::bigint,
           'dlq_enabled', d.dlq_enabled,
           'completed_retention_ms', (extract(epoch FROM d.completed_retention) * 1000)::bigint,
           'failed_retention_ms', (extract(epoch FROM d.failed_retention) * 1000)::bigint,
           'dlq_retention_ms', (extract(epoch FROM d.dlq_retention) * 1000)::bigint) AS defaults
  FROM awa.get_defaults() AS d
