-- SPDX-License-Identifier: MIT
-- Why is this job not running, or where is it now?

-- Why nobody may run a job: no worker serves its queue, or (served) none of those that do knows its
-- kind. No row: one could.
CREATE OR REPLACE FUNCTION awa.explain_unserved(p_job awa.jobs)
RETURNS TABLE (finding text, since timestamptz, hint text, served boolean)
LANGUAGE plpgsql
AS $$
DECLARE
    v_known boolean; -- NULL: no worker
BEGIN
    SELECT bool_or(w.kinds IS NULL OR p_job.kind = ANY (w.kinds)) INTO v_known
      FROM awa.workers AS w
     WHERE p_job.queue = ANY (w.queues) AND w.ended_at IS NULL;
    IF v_known IS NULL THEN
        RETURN QUERY SELECT format('no worker serves queue %s', p_job.queue), NULL::timestamptz,
                            format('awa work --queue %s ...', p_job.queue), false;
    ELSIF NOT v_known THEN
        RETURN QUERY SELECT format('no worker of queue %s knows kind %s', p_job.queue, p_job.kind),
                            NULL::timestamptz,
                            format('awa work --queue %s --kind %s ...', p_job.queue, p_job.kind), true;
    END IF;
END
$$;

-- Why an available job waits.
CREATE OR REPLACE FUNCTION awa.explain_available(p_job awa.jobs)
RETURNS TABLE (finding text, since timestamptz, hint text)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
    v_queue awa.queues;
    v_before bigint;
BEGIN
    SELECT q.* INTO v_queue FROM awa.queues AS q WHERE q.queue = p_job.queue;
    IF v_queue.paused_at IS NOT NULL THEN
        RETURN QUERY SELECT format('queue %s is paused, by %s', p_job.queue,
                                   coalesce(v_queue.paused_by, '?')), v_queue.paused_at,
                            format('awa queue resume %s', p_job.queue);
    END IF;
    RETURN QUERY SELECT e.finding, e.since, e.hint FROM awa.explain_unserved(p_job) AS e;
    SELECT coalesce(sum(awa.width(w.run * int8multirange(int8range(NULL, p_job.pos)))), 0)
      INTO v_before
      FROM awa.waiting_runs((p_job.pos >> 44)::int, 10001) AS w;
    RETURN QUERY SELECT format('available: %s jobs are before it in its lane (queue %s,'
                               ' priority %s, shard %s)',
                               CASE WHEN v_before > 10000 THEN 'more than 10000'
                                    ELSE v_before::text END,
                               p_job.queue, p_job.priority, p_job.enqueue_shard),
                        p_job.run_at, NULL::text;
END
$$;

-- What will follow from a job that lives.
CREATE OR REPLACE FUNCTION awa.explain_follow(p_job awa.jobs)
RETURNS TABLE (finding text, since timestamptz, hint text)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
        SELECT format('on %s, a job of kind %s follows', f ->> 'on', f #>> '{job,kind}'),
               NULL::timestamptz, NULL::text
          FROM jsonb_array_elements(p_job.options -> 'follow') AS f
        UNION ALL
        SELECT format('on %s, a job of kind %s follows', r.event, r.job ->> 'kind'), NULL,
               format('rule %s, see awa follow list', r.name)
          FROM awa.follow_rules AS r
         WHERE (r.queue IS NULL OR r.queue = p_job.queue) AND (r.kind IS NULL OR r.kind = p_job.kind);
END
$$;

-- Findings about one job, the most telling first: what blocks it, since when or until when, and what an
-- operator can do. No row if the job is not known.
-- Door: index.
CREATE OR REPLACE FUNCTION awa.explain_job(p_id bigint)
RETURNS TABLE (finding text, since timestamptz, hint text)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
    v_job awa.jobs;
    v_worker awa.seen_workers;
    v_error jsonb;
BEGIN
    SELECT j.* INTO v_job FROM awa.get_job(p_id) AS j LIMIT 1;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    v_error := v_job.errors -> -1;

    -- A job of a kind that no worker knows goes round: it is claimed, released, and due again.
    IF v_job.state = 'scheduled' THEN
        RETURN QUERY
            SELECT e.finding, e.since, e.hint FROM awa.explain_unserved(v_job) AS e WHERE e.served;
    END IF;
    IF v_job.state = 'running' THEN
        SELECT w.* INTO v_worker FROM awa.seen_workers AS w WHERE w.worker_id = v_job.worker_id;
        RETURN QUERY SELECT format('running: attempt %s of %s, held by worker %s', v_job.attempt,
                                   v_job.max_attempts, coalesce(v_worker.name, '(unknown)')),
                            v_job.attempted_at,
                            format('run_lease %s; deadline %s', v_job.run_lease,
                                   coalesce(v_job.deadline_at::text, 'none'));
        IF v_worker.ended_at IS NOT NULL
           OR v_worker.last_seen_at < clock_timestamp() - interval '5 s' THEN
            RETURN QUERY SELECT 'the worker is silent: it will be rescued soon',
                                v_worker.last_seen_at, 'needs one live worker, as the leader';
        END IF;
    ELSIF v_job.state IN ('scheduled', 'retryable') THEN
        RETURN QUERY SELECT CASE WHEN v_job.run_at > clock_timestamp()
                                 THEN format('%s: due at %s', v_job.state, v_job.run_at)
                                 ELSE format('%s: due since %s, waits for the leader to promote it',
                                             v_job.state, v_job.run_at) END,
                            v_job.created_at,
                            'awa job retry makes it due at once';
    ELSIF v_job.dlq_at IS NOT NULL THEN
        RETURN QUERY SELECT format('failed, and in the dead-letter queue: %s', v_job.dlq_reason),
                            v_job.dlq_at, 'awa dlq retry runs it again';
    ELSIF v_job.state = 'available' THEN
        RETURN QUERY SELECT e.* FROM awa.explain_available(v_job) AS e;
    ELSE
        RETURN QUERY SELECT format('%s after %s attempts', v_job.state, v_job.attempt),
                            v_job.finalized_at,
                            CASE WHEN v_job.state <> 'completed'
                                 THEN format('awa job retry %s', p_id) END;
    END IF;

    IF v_error IS NOT NULL THEN
        RETURN QUERY SELECT format('last error, in attempt %s (%s): %s', v_error ->> 'attempt',
                                   v_error ->> 'outcome', left(v_error ->> 'error', 500)),
                            (v_error ->> 'at')::timestamptz, NULL::text;
    END IF;
    IF v_job.state NOT IN ('completed', 'failed', 'cancelled') THEN
        RETURN QUERY SELECT e.finding, e.since, e.hint FROM awa.explain_follow(v_job) AS e;
    END IF;
END
$$;

-- Everything that is known about a job, for people: the job; where it is; each of its appearances in the
-- ring, oldest first, with its worker, its times and how it ended; its errors. NULL if the job is not
-- known.
-- Door: lookup.
CREATE OR REPLACE FUNCTION awa.dump_job(p_id bigint)
RETURNS jsonb
LANGUAGE plpgsql
AS $$
DECLARE
    v_job awa.jobs;
BEGIN
    SELECT j.* INTO v_job FROM awa.get_job(p_id) AS j LIMIT 1;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    RETURN jsonb_build_object(
        'job', awa.job_json(v_job),
        'place', CASE WHEN v_job.dlq_at IS NOT NULL THEN 'dlq_entries'
                      WHEN v_job.pos IS NULL THEN 'deferred_jobs'
                      ELSE 'ready_entries' END,
        'lane', (SELECT to_jsonb(l) - 'shift' FROM awa.lanes AS l
                  WHERE l.lane_id = (v_job.pos >> 44)::int),
        'unique_key_held', (SELECT u.id = p_id FROM awa.unique_keys AS u
                             WHERE u.unique_key = v_job.unique_key),
        'explained', (SELECT jsonb_agg(to_jsonb(e)) FROM awa.explain_job(p_id) AS e),
        'appearances',
        (SELECT coalesce(jsonb_agg(jsonb_build_object(
                    'ready_slot', e.ready_slot, 'pos', e.pos::text, 'lane_id', e.pos >> 44,
                    'lane_position', e.pos & ((1::bigint << 44) - 1),
                    'enqueued_at', e.enqueued_at, 'attempts_before', e.attempt,
                    'withdrawn', t.reason, 'withdrawn_at', t.withdrawn_at,
                    'claim_id', c.claim_id, 'claimed_at', c.claimed_at,
                    'deadline_at', c.deadline_at, 'worker_id', c.worker_id::text, 'worker', w.name,
                    'outcome', k.outcome, 'closed_at', k.closed_at)
                    ORDER BY e.enqueued_at, e.pos, k.closed_at NULLS LAST), '[]')
           FROM awa.ready_entries AS e
           LEFT JOIN LATERAL (SELECT t.* FROM awa.ready_tombstones AS t
                               WHERE t.ready_slot = e.ready_slot AND t.pos = e.pos
                               LIMIT 1) AS t ON true
           LEFT JOIN LATERAL (SELECT c.* FROM awa.claims AS c
                               WHERE c.ready_slot = e.ready_slot AND c.positions @> e.pos
                               LIMIT 1) AS c ON true
           LEFT JOIN LATERAL (SELECT k.* FROM awa.closures AS k
                               WHERE k.ready_slot = e.ready_slot AND k.positions @> e.pos
                               LIMIT 1) AS k ON true
           LEFT JOIN awa.workers AS w ON w.worker_id = c.worker_id
          WHERE e.id = p_id),
        'errors', coalesce(v_job.errors, '[]'));
END
$$;
