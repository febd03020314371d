-- Set the rule $1: on event $2 of jobs of queue $4 and kind $5 (NULL: any), job $3 follows.
-- returns: one row of nothing
SELECT awa.set_follow_rule($1::text, $2::text, awa.need_json('job', $3::text), $4::text, $5::text)
