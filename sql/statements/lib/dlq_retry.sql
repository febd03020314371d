-- Run dead letter $1 again, at $2 in ms, or after $3 ms, in queue $4, with priority $5 (NULL: now,
-- its own).
-- returns: done boolean, false if it is not in the dead-letter queue
SELECT awa.retry_dlq($1::bigint, coalesce(awa.from_ms($2::bigint),
                                          clock_timestamp() + awa.ms_interval($3::bigint)),
                     $4::text, awa.to_int($5::bigint)) AS done
