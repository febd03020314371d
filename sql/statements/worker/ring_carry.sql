-- Carry what is alive out of slot $1, a chunk of it.
-- returns: carried bigint
SELECT awa.carry_forward($1::smallint) AS carried
