-- Worker $1 has lost the answer to a claim, and knows only of what it holds at $2.
-- returns: returned bigint, how many jobs went back; null: ask again
SELECT awa.reconcile_worker($1::bigint, $2::int8multirange) AS returned
