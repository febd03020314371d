-- Set queue $1: enqueue shards $2, deadline $3 and aging interval $4 in ms. NULL leaves a setting as it
-- is. $5: put the settings that follow the common ones back to them. The dead-letter queue on or off $6;
-- the retention of completed and cancelled $7, failed $8 and dead-lettered jobs $9 in ms; the names of
-- settings that go back to their defaults $10.
-- returns: one row of nothing
SELECT awa.set_queue($1::text, $2::int, $3::bigint * interval '1 ms',
                     $4::bigint * interval '1 ms', $5::boolean, $6::boolean,
                     $7::bigint * interval '1 ms', $8::bigint * interval '1 ms',
                     $9::bigint * interval '1 ms', coalesce($10::text[], '{}'))
