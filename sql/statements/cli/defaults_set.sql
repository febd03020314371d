-- Set the common settings: deadline $1 and aging interval $2 in ms; the dead-letter queue on or off $3;
-- the retention of completed and cancelled $4, failed $5 and dead-lettered jobs $6 in ms. NULL leaves a
-- setting as it is.
-- returns: one row of nothing
SELECT awa.set_defaults($1::bigint * interval '1 ms', $2::bigint * interval '1 ms', $3::boolean,
                        $4::bigint * interval '1 ms', $5::bigint * interval '1 ms',
                        $6::bigint * interval '1 ms')
