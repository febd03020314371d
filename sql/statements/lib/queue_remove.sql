-- Remove queue $1.
-- returns: removed boolean; false: there was none
SELECT awa.remove_queue($1::text) AS removed
