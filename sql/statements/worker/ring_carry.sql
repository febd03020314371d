-- Carry a chunk of what is alive or kept out of slot $1.
-- returns: carried bigint
SELECT awa.carry_forward($1::smallint) AS carried
