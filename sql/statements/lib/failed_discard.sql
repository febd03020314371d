-- Forget failed jobs: of kind $1, in queue $2, with tag $3 (NULL: any); without a filter
-- only if $4; at most $5, with ids below $6. $7: only count them.
-- returns: matched, changed, conflicts bigint; next_before bigint, NULL if there is no more; sample,
-- the first ten ids, joined by spaces
SELECT r.matched, r.changed, r.conflicts, r.next_before, array_to_string(r.sample, ' ') AS sample
  FROM awa.discard_failed($1::text, $2::text, $3::text, $4::boolean, awa.to_int($5::bigint),
                          $6::bigint, $7::boolean) AS r
