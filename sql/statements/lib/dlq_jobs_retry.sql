-- Run dead letters again: of kind $1, in queue $2, with tag $3, of reason $8, dead since $9 and
-- before $10 in ms (NULL: any); without a filter only if $4; at most $5, with ids below $6. $7: only
-- count them. At $11 in ms, or after $12 ms, in queue $13, with priority $14 (NULL: now, their own).
-- returns: as failed_retry
SELECT r.matched, r.changed, r.conflicts, r.next_before, array_to_string(r.sample, ' ') AS sample
  FROM awa.retry_dlq_jobs($1::text, $2::text, $3::text, $8::text, awa.from_ms($9::bigint),
                          awa.from_ms($10::bigint), $4::boolean,
                          coalesce(awa.from_ms($11::bigint),
                                   clock_timestamp() + awa.ms_interval($12::bigint)),
                          $13::text, awa.to_int($14::bigint), awa.to_int($5::bigint), $6::bigint,
                          $7::boolean) AS r
