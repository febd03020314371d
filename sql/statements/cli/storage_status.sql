-- Numbers about the storage; then how many jobs there are, by the exact counts and by the gauges.
-- returns: item, value
SELECT s.item, s.value FROM awa.storage_status() AS s
UNION ALL
SELECT 'exact counts', format('%s available, %s scheduled, %s retryable, %s running, %s completed,'
                              ' %s failed, %s cancelled, %s dead letters', sum(c.available),
                              sum(c.scheduled), sum(c.retryable), sum(c.running),
                              sum(c.completed), sum(c.failed), sum(c.cancelled),
                              sum(c.dead_lettered))
  FROM awa.queue_counts() AS c
HAVING count(*) > 0
UNION ALL
SELECT 'fast gauges', format('at most %s available; at least %s deferred, %s running, %s dead'
                             ' letters; folded or pruned, so at least: %s completed, %s failed,'
                             ' %s cancelled', sum(f.available), sum(f.deferred), sum(f.running),
                             sum(f.dead_lettered), sum(f.completed), sum(f.failed),
                             sum(f.cancelled))
  FROM awa.queue_counts_fast() AS f
HAVING count(*) > 0
