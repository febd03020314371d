-- The time $1, in any form that Postgres reads; if $2, a duration such as 2h means so long ago.
-- returns: ms bigint, never 0, which means no time to the library; NULL: it is not finite
SELECT CASE WHEN isfinite(t.at)
            THEN coalesce(nullif((extract(epoch FROM t.at) * 1000)::bigint, 0), 1) END AS ms
  FROM (SELECT CASE WHEN $2::boolean AND $1::text ~ '^[0-9]{1,9}(ms|s|m|h|d)$'
                    THEN clock_timestamp() - $1::interval
                    ELSE $1::timestamptz END AS at) AS t
