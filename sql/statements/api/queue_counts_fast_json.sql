-- The same as queue_counts_fast.
-- returns: gauges json: a list, and for each count which bound it is; NULL if the queue is not known
SELECT CASE WHEN count(*) > 0 OR $1::text IS NULL THEN json_build_object(
            'bounds', json_build_object('available', 'upper', 'deferred', 'lower',
                                        'running', 'lower', 'completed', 'lower',
                                        'failed', 'lower', 'cancelled', 'lower',
                                        'dead_lettered', 'lower'),
            'queues', coalesce(json_agg(c ORDER BY c.queue), '[]')) END AS gauges
  FROM awa.queue_counts_fast() AS c
 WHERE $1::text IS NULL OR c.queue = $1::text
