-- Pause queue $1, by $2 (NULL: the session's user).
-- returns: one row of nothing
SELECT awa.pause_queue($1::text, coalesce($2::text, session_user))
