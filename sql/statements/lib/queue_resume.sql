-- Resume queue $1.
-- returns: one row of nothing
SELECT awa.resume_queue($1::text)
