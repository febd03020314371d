-- Note that the maintenance task $1 has failed with error $2, or succeeded (NULL).
-- returns: nothing
SELECT awa.note_maintenance($1::text, $2::text)
