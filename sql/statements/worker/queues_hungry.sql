-- Note that a worker of queues $1 waits for work.
-- returns: one row of nothing
SELECT awa.mark_hungry($1::text[])
