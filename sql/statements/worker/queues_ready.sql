-- In which of the queues $1 is there work now?
-- returns: ready text[]
SELECT awa.ready_queues($1::text[]) AS ready
