-- Claim up to $3 jobs of queue $2 for worker $1.
-- returns: pos, id, claim_id bigint; ready_slot, attempt, max_attempts smallint; kind text;
-- args, metadata jsonb; enqueued_at, deadline_at timestamptz; tags text[]
SELECT c.pos, c.id, c.claim_id, c.ready_slot, c.attempt, c.max_attempts, c.kind, c.args,
       c.metadata, c.enqueued_at, c.deadline_at, c.tags
  FROM awa.claim_jobs($1::bigint, $2::text, $3::int) AS c
