-- For awa bench: the entries of the ring.
-- returns: n bigint; numbers bigint, how many different numbers their arguments have
SELECT count(*) AS n, count(DISTINCT (e.args ->> 'n')::bigint) AS numbers
  FROM awa.ready_entries AS e
