-- Forget dead letters: of kind $1, in queue $2, with tag $3, of reason $8, dead since $9 and before
-- $10 in ms (NULL: any); without a filter only if $4; at most $5, with ids below $6. $7: only count
-- them.
-- returns: as failed_retry
SELECT r.matched, r.changed, r.conflicts, r.next_before, array_to_string(r.sample, ' ') AS sample
  FROM awa.purge_dlq($1::text, $2::text, $3::text, $8::text, awa.from_ms($9::bigint),
                     awa.from_ms($10::bigint), $4::boolean, awa.to_int($5::bigint), $6::bigint,
                     $7::boolean) AS r
