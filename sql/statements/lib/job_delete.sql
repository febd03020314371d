-- Forget job $1, whatever its state.
-- returns: done boolean, false if it is not known
SELECT awa.delete_job_compat($1::bigint) AS done
