-- Remove the rule $1.
-- returns: removed boolean; false if there was none
SELECT awa.remove_follow_rule($1::text) AS removed
