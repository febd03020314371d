-- For awa bench: spread the default queue over $1 shards.
-- returns: one row of nothing
SELECT awa.set_queue('default', p_enqueue_shards => $1::int)
