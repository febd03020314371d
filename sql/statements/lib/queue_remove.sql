-- Remove queue $1.
-- returns: removed boolean; false if there was no such queue
SELECT awa.remove_queue($1::text) AS removed
