-- What time it is.
-- returns: ms bigint
SELECT awa.to_ms(clock_timestamp()) AS ms
