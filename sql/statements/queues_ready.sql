-- In which of the queues $1 may there be work now? Also marks them, as a waiting worker does.
-- returns: ready text[]
SELECT h.ready FROM awa.heartbeat('{}', $1::text[]) AS h
