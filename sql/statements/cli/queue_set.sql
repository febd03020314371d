-- Settings of queue $1: enqueue shards $2, deadline $3 and aging interval $4 in ms; NULL leaves one
-- as it is. $5: put those that follow the common settings back to them. The dead-letter queue on or
-- off $6; retention of completed and cancelled $7, failed $8 and dead-lettered jobs $9 in ms; names
-- of settings that go back to their default $10.
-- returns: one row of nothing
SELECT awa.set_queue($1::text, $2::int, $3::bigint * interval '1 ms',
                     $4::bigint * interval '1 ms', $5::boolean, $6::boolean,
                     $7::bigint * interval '1 ms', $8::bigint * interval '1 ms',
                     $9::bigint * interval '1 ms', coalesce($10::text[], '{}'))
