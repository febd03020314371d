-- Become or stay the leader as worker $1. The worker has promoted up to $2 and expired up to $3 (ms,
-- NULL: from the beginning). $4: resign.
-- returns: term bigint, NULL if another worker leads or is just asking, or we resign; tasks text[],
-- wait_ms bigint, newest_id bigint, listens boolean
SELECT l.term, l.tasks, l.wait_ms, l.newest_id, l.listens
  FROM awa.lead($1::bigint, coalesce(awa.from_ms($2::bigint), '-infinity'),
                coalesce(awa.from_ms($3::bigint), '-infinity'), $4::boolean) AS l
