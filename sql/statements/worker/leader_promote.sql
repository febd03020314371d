-- Promote jobs that are due after $1 (ms, NULL: from the beginning).
-- returns: promoted int, and the time in ms of the last job that was promoted
SELECT p.promoted, awa.to_ms(p.up_to) AS up_to
  FROM awa.promote_jobs(coalesce(awa.from_ms($1::bigint), '-infinity')) AS p
