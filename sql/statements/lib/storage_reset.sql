-- Forget every job and every count of the database, which must be called $1.
-- returns: one row of nothing
SELECT awa.reset_storage($1::text)
