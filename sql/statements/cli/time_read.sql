-- The time $1, in any form that Postgres reads. With $2, a duration such as 2h means that long ago.
-- returns: ms bigint, never 0, which the library takes for no time; NULL if the time is not finite; and
-- how $1 was understood, for people; NULL for a duration
SELECT CASE WHEN isfinite(t.at)
            THEN coalesce(nullif((extract(epoch FROM t.at) * 1000)::bigint, 0), 1) END AS ms,
       CASE WHEN isfinite(t.at) AND NOT t.ago
            THEN format(CASE WHEN w.s > 0 THEN '%s (in %s)' ELSE '%s (%s ago)' END, t.at,
                        CASE WHEN abs(w.s) < 120 THEN abs(w.s) || ' s'
                             WHEN abs(w.s) < 7200 THEN abs(w.s) / 60 || ' min'
                             WHEN abs(w.s) < 172800 THEN abs(w.s) / 3600 || ' h'
                             ELSE abs(w.s) / 86400 || ' days' END) END AS understood
  FROM (SELECT d.ago, CASE WHEN d.ago THEN clock_timestamp() - $1::interval
                           ELSE $1::timestamptz END AS at
          FROM (SELECT $2::boolean AND $1::text ~ '^[0-9]{1,9}(ms|s|m|h|d)$' AS ago) AS d) AS t
 CROSS JOIN LATERAL (SELECT CASE WHEN isfinite(t.at)
                                 THEN extract(epoch FROM t.at - clock_timestamp()) END::bigint AS s) AS w
