-- Register worker $1 as $2, for queues $3 and kinds $4 (NULL: all), with a session lock if $5.
-- returns: number bigint, by which others know the worker; server bigint, a number that changes when the
-- server restarts or is replaced
SELECT awa.register_worker($1::bigint, $2::text, $3::text[], $4::text[], $5::boolean) AS number,
       awa.server_number() AS server
