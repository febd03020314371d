-- For awa bench: worker $1 claims up to $2 jobs of the default queue and ends each with outcome $3,
-- an error and an output, so that each has a row of its own in history.
-- returns: done bigint, how many
SELECT count(k.state) FILTER (WHERE k.state <> 'stale') AS done
  FROM (SELECT array_agg(c.ready_slot) AS slots, array_agg(c.claim_id) AS claims,
               array_agg(c.pos) AS positions, array_agg($3::text) AS outcomes,
               array_agg('no reason given'::text) AS errors, array_agg('{"n": 1}'::text) AS outputs
          FROM awa.claim_jobs($1::bigint, awa.default_queue(), $2::int) AS c) AS c
 CROSS JOIN LATERAL awa.close_jobs($1::bigint, c.slots, c.claims, c.positions, c.outcomes,
                                   c.errors, c.outputs) AS k
