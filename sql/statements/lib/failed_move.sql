-- Move failed jobs to the dead-letter queue: of kind $1, in queue $2, with tag $3 (NULL: any);
-- without a filter only if $4; at most $5, with ids below $6. $7: only count them. $8: the reason
-- that is kept with them, NULL: manual.
-- returns: as failed_retry
SELECT r.matched, r.changed, r.conflicts, r.next_before, array_to_string(r.sample, ' ') AS sample
  FROM awa.move_failed_to_dlq($1::text, $2::text, $3::text, $4::boolean,
                              coalesce($8::text, 'manual'), awa.to_int($5::bigint), $6::bigint,
                              $7::boolean) AS r
