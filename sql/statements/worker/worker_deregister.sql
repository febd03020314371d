-- Worker $1 ends.
-- returns: one row of nothing
SELECT awa.deregister_worker($1::bigint)
