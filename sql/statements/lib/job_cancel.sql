-- Cancel job $1, for reason $2 (NULL: none given).
-- returns: done boolean, false if there was nothing to cancel
SELECT awa.cancel_job($1::bigint, $2::text) AS done
