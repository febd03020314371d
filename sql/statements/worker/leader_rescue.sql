-- Rescue the jobs of dead workers.
-- returns: rescued bigint
SELECT awa.rescue_jobs() AS rescued
