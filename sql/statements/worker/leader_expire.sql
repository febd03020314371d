-- End attempts whose deadline passed, after $1 (ms, NULL: from the beginning).
-- returns: expired bigint, and up to which time it looked in ms
SELECT awa.expire_jobs(coalesce(awa.from_ms($1::bigint), '-infinity'), n.at) AS expired,
       awa.to_ms(n.at - awa.deadline_grace()) AS up_to
  FROM (SELECT clock_timestamp() AS at OFFSET 0) AS n
