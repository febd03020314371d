-- End attempts whose deadline passed more than 4 s ago, and after $1 (ms, NULL: from the beginning).
-- returns: expired bigint, and the deadline in ms up to which it looked
SELECT awa.expire_jobs(coalesce(awa.from_ms($1::bigint), '-infinity'), n.at) AS expired,
       awa.to_ms(n.at - awa.deadline_grace()) AS up_to
  FROM (SELECT clock_timestamp() AS at OFFSET 0) AS n
