-- Identities $1 are alive; they wait for work in queues $2; attempts ($3, $4) run.
-- returns: known bigint[], ready text[], lost bigint[], server bigint, now_ms bigint
SELECT h.known, h.ready, h.lost, h.server, awa.to_ms(clock_timestamp()) AS now_ms
  FROM awa.heartbeat($1::bigint[], $2::text[], $3::bigint[], $4::bigint[]) AS h
