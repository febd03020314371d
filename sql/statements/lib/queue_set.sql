-- Set queue $1: enqueue shards $2, deadline $3 and aging interval $4 in ms; the dead-letter queue on or
-- off $5 (1 or 0); the retention of completed and cancelled $6, failed $7 and dead-lettered jobs $8 in
-- ms. NULL leaves a setting as it is. The names of settings that go back to the common ones $9.
-- returns: one row of nothing
SELECT awa.set_queue($1::text, p_enqueue_shards => awa.to_int($2::bigint),
                     p_deadline => awa.ms_interval($3::bigint),
                     p_aging_interval => awa.ms_interval($4::bigint),
                     p_dlq_enabled => $5::boolean,
                     p_completed_retention => awa.ms_interval($6::bigint),
                     p_failed_retention => awa.ms_interval($7::bigint),
                     p_dlq_retention => awa.ms_interval($8::bigint), p_defaults => $9::text[])
