-- Set the common settings: deadline $1 and aging interval $2 in ms; the dead-letter queue on or off $3;
-- the retention of completed and cancelled $4, failed $5 and dead-lettered jobs $6 in ms. NULL leaves a
-- setting as it is.
-- returns: one row of nothing
SELECT awa.set_defaults(awa.ms_interval($1::bigint), awa.ms_interval($2::bigint), $3::boolean,
                        awa.ms_interval($4::bigint), awa.ms_interval($5::bigint),
                        awa.ms_interval($6::bigint))
