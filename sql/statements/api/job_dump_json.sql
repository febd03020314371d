-- The same as job_dump.
-- returns: dump json, an object; NULL if the job is not known
SELECT awa.dump_job($1::bigint) AS dump
