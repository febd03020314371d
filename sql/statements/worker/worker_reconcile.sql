-- Settle a lost answer to a claim of worker $1, which knows only of the jobs that it holds at $2.
-- returns: returned bigint, how many jobs went back; NULL: ask again
SELECT awa.reconcile_worker($1::bigint, $2::int8multirange) AS returned
