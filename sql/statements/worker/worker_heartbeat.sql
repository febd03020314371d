-- Say that identities $1 are alive. They wait for work in queues $2; attempts at $4 of claims $3 run; $5:
-- this session is a new one; the process holds $7 jobs of queues $6.
-- returns: known bigint[], ready text[], lost int8multirange, server bigint, now_ms bigint,
-- listens boolean, poll_ms int
SELECT h.known, h.ready, h.lost, h.server, awa.to_ms(clock_timestamp()) AS now_ms, h.listens,
       h.poll_ms
  FROM awa.heartbeat($1::bigint[], $2::text[], $3::bigint[], $4::int8multirange[],
                     $5::boolean, $6::text[], $7::int[]) AS h
