-- Run job $1 again.
-- returns: done boolean, false if there was nothing to retry
SELECT awa.retry_job($1::bigint) AS done
