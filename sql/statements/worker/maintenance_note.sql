-- Note that a task of maintenance, $1, has failed with an error, $2, or succeeded (NULL).
-- returns: nothing
SELECT awa.note_maintenance($1::text, $2::text)
