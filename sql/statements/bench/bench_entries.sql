-- For awa bench: the jobs that stand in the queue.
-- returns: n bigint; numbers bigint, how many different ones
SELECT count(*) AS n, count(DISTINCT (e.args ->> 'n')::bigint) AS numbers
  FROM awa.ready_entries AS e
