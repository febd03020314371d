-- Settings of queue $1: enqueue shards $2, deadline $3 and aging interval $4 in ms; NULL leaves one
-- as it is. $5: put those that were not named back to the common settings.
-- returns: one row of nothing
SELECT awa.set_queue($1::text, $2::int, $3::bigint * interval '1 ms',
                     $4::bigint * interval '1 ms', $5::boolean)
