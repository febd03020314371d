-- For awa bench: worker $1 claims up to $2 jobs of the default queue and completes them with one
-- compact call.
-- returns: done bigint, how many
SELECT coalesce(awa.width(awa.complete_jobs($1::bigint, array_agg(c.ready_slot),
                                            array_agg(c.claim_id), array_agg(c.positions))), 0)
       AS done
  FROM (SELECT c.ready_slot, c.claim_id, range_agg(int8range(c.pos, c.pos + 1)) AS positions
          FROM awa.claim_jobs($1::bigint, awa.default_queue(), $2::int) AS c
         GROUP BY c.ready_slot, c.claim_id) AS c
