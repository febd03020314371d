-- SPDX-License-Identifier: MIT
-- Jobs go into the dead-letter queue, and out of it for good. A job there is not in the ring and not in
-- its terminal counts; its state stays failed.

-- Make dead letters of failed attempts, which this transaction has closed as dead_lettered. Their reason
-- follows from the outcome that the worker or the leader asked for; see awa.decide().
CREATE OR REPLACE FUNCTION awa.bury(p_rows awa.closing[], p_now timestamptz)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO awa.dlq_entries (id, dlq_at, finalized_at, created_at, run_at, attempted_at,
           run_lease, priority, enqueue_shard, attempt, max_attempts, queue, kind, reason, args,
           tags, metadata, unique_key, errors, output, options)
    SELECT e.id, p_now, p_now, coalesce(e.created_at, e.enqueued_at), e.enqueued_at, c.claimed_at,
           c.claim_id, l.priority, l.enqueue_shard, r.attempt, e.max_attempts, l.queue, e.kind,
           CASE r.error ->> 'outcome' WHEN 'failed' THEN 'terminal_error'
                                      WHEN 'expired' THEN 'deadline_exceeded'
                                      ELSE 'max_attempts_exhausted' END,
           e.args, e.tags, e.metadata, e.unique_key, awa.errors_after(e.errors, r), r.output,
           e.options
      FROM unnest(p_rows) AS r
     CROSS JOIN LATERAL (SELECT e.*
                           FROM awa.ready_entries AS e
                          WHERE e.ready_slot = r.ready_slot AND e.pos = r.pos
                          LIMIT 1) AS e
      JOIN awa.lanes AS l ON l.lane_id = (r.pos >> 44)::int
      LEFT JOIN LATERAL (SELECT c.claimed_at, c.claim_id
                           FROM awa.claims AS c
                          WHERE c.ready_slot = r.ready_slot AND c.positions @> r.pos
                          LIMIT 1) AS c ON true;
END
$$;

-- Make dead letters of failed jobs that were taken out of the ring.
CREATE OR REPLACE FUNCTION awa.add_dead_letters(p_jobs awa.jobs[], p_reason text)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO awa.dlq_entries (id, dlq_at, finalized_at, created_at, run_at, attempted_at,
           run_lease, priority, enqueue_shard, attempt, max_attempts, queue, kind, reason, args,
           tags, metadata, unique_key, errors, output, options)
    SELECT j.id, clock_timestamp(), j.finalized_at, j.created_at, j.run_at, c.claimed_at,
           c.claim_id, j.priority, j.enqueue_shard, j.attempt, j.max_attempts, j.queue, j.kind,
           p_reason, j.args, j.tags, j.metadata, j.unique_key, j.errors, j.output, j.options
      FROM unnest(p_jobs) AS j
      LEFT JOIN LATERAL (SELECT c.claimed_at, c.claim_id
                           FROM awa.claims AS c
                          WHERE c.ready_slot = j.ready_slot AND c.positions @> j.pos
                          LIMIT 1) AS c ON true;
END
$$;

-- Forget dead letters and their unique keys. Returns how many there were.
CREATE OR REPLACE FUNCTION awa.forget_dead(p_ids bigint[])
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_ids bigint[];
    v_keys text[];
BEGIN
    WITH gone AS (
        DELETE FROM awa.dlq_entries AS d
         WHERE d.ctid = ANY (ARRAY(SELECT o.ctid FROM awa.dlq_entries AS o
                                    WHERE o.id = ANY (p_ids) ORDER BY o.id FOR UPDATE))
        RETURNING d.id, d.unique_key)
    SELECT coalesce(array_agg(g.id), '{}'), array_agg(g.unique_key) INTO v_ids, v_keys
      FROM gone AS g;
    PERFORM awa.drop_unique_keys(v_keys, v_ids);
    RETURN cardinality(v_ids);
END
$$;
