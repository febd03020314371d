-- Cancel up to $2 of the jobs that wait in queue $1.
-- returns: cancelled int; call again if it is $2
SELECT awa.drain_queue($1::text, $2::int) AS cancelled
