-- Listen for work in queues $1 and for cancellations.
-- returns: one row of nothing
SELECT awa.listen($1::text[])
