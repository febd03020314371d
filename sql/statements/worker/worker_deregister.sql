-- End worker $1.
-- returns: one row of nothing
SELECT awa.deregister_worker($1::bigint)
