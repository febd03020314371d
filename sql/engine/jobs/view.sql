-- SPDX-License-Identifier: MIT
-- Reading jobs: one view of all places where jobs are, and functions that look up and page without a scan
-- of history.

-- Every entry of the ring that stands for a job, with the marks on it. Entries that were superseded (the
-- job lives on elsewhere) are left out: entries that were closed with an outcome that is not terminal,
-- entries that were withdrawn for another reason than a cancel, and terminal ones that were taken back.
CREATE OR REPLACE VIEW awa.ready_jobs AS
SELECT e.id, e.ready_slot, e.pos, e.kind, l.queue, l.priority, l.enqueue_shard, e.args,
       CASE WHEN d.state IS NOT NULL THEN d.state
            WHEN k.outcome IS NOT NULL THEN k.outcome::text::awa.job_state
            WHEN c.claim_id IS NOT NULL THEN 'running'
            ELSE 'available' END::awa.job_state AS state,
       coalesce(d.attempt, e.attempt + CASE WHEN k.outcome IS NOT NULL OR c.claim_id IS NOT NULL
                                            THEN 1 ELSE 0 END)::smallint AS attempt,
       e.max_attempts, coalesce(e.created_at, e.enqueued_at) AS created_at,
       e.enqueued_at AS run_at, c.claimed_at AS attempted_at, c.deadline_at,
       coalesce(d.finalized_at, k.closed_at) AS finalized_at, c.claim_id AS run_lease,
       c.worker_id, coalesce(d.errors, e.errors) AS errors, d.output, e.tags, e.metadata,
       e.unique_key, e.options
  FROM awa.ready_entries AS e
  JOIN awa.lanes AS l ON l.lane_id = (e.pos >> 44)::int
  LEFT JOIN LATERAL (
        SELECT t.reason
          FROM awa.ready_tombstones AS t
         WHERE t.ready_slot = e.ready_slot AND t.pos = e.pos
         LIMIT 1) AS t ON true
  LEFT JOIN LATERAL (
        SELECT k.outcome, k.closed_at
          FROM awa.closures AS k
         WHERE k.ready_slot = e.ready_slot AND k.positions @> e.pos
         LIMIT 1) AS k ON true
  LEFT JOIN LATERAL (
        SELECT c.claim_id, c.worker_id, c.claimed_at, c.deadline_at
          FROM awa.claims AS c
         WHERE c.ready_slot = e.ready_slot AND c.positions @> e.pos AND k.outcome IS NULL
         LIMIT 1) AS c ON true
  LEFT JOIN LATERAL (
        SELECT d.state, d.attempt, d.finalized_at, d.errors, d.output
          FROM awa.done_entries AS d
         WHERE d.ready_slot = e.ready_slot AND d.pos = e.pos
         LIMIT 1) AS d ON true
 WHERE CASE WHEN t.reason IS NULL
            THEN k.outcome IS NULL OR k.outcome IN ('completed', 'failed', 'cancelled')
            ELSE t.reason = 'cancelled' AND k.outcome IS NULL END;

-- Every job: in the ring, deferred, or in the dead-letter queue (it then has dlq_at, and its state stays
-- failed).
CREATE OR REPLACE VIEW awa.jobs AS
SELECT r.id, r.kind, r.queue, r.args, r.state, r.priority, r.attempt, r.max_attempts, r.run_at,
       r.created_at, r.attempted_at, r.deadline_at, r.finalized_at, r.run_lease, r.worker_id,
       r.errors, r.output, r.tags, r.metadata, r.unique_key, r.enqueue_shard, r.ready_slot, r.pos,
       NULL::timestamptz AS dlq_at, NULL::text AS dlq_reason, r.options
  FROM awa.ready_jobs AS r
UNION ALL
SELECT d.id, d.kind, d.queue, d.args, d.state, d.priority, d.attempt, d.max_attempts, d.run_at,
       d.created_at, NULL, NULL, NULL, NULL, NULL, d.errors, NULL, d.tags, d.metadata,
       d.unique_key, d.enqueue_shard, NULL, NULL, NULL, NULL, d.options
  FROM awa.deferred_jobs AS d
UNION ALL
SELECT d.id, d.kind, d.queue, d.args, 'failed', d.priority, d.attempt, d.max_attempts, d.run_at,
       d.created_at, d.attempted_at, NULL, d.finalized_at, d.run_lease, NULL, d.errors, d.output,
       d.tags, d.metadata, d.unique_key, d.enqueue_shard, NULL, NULL, d.dlq_at, d.reason, d.options
  FROM awa.dlq_entries AS d;

-- One job by its id; no row if the job is not known, or not any more.
-- Door: lookup.
CREATE OR REPLACE FUNCTION awa.get_job(p_id bigint)
RETURNS SETOF awa.jobs
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN QUERY SELECT j.* FROM awa.jobs AS j WHERE j.id = p_id;
END
$$;

-- Whether a job lives: it is known and has not ended.
CREATE OR REPLACE FUNCTION awa.job_is_live(p_id bigint)
RETURNS boolean
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN EXISTS (SELECT 1 FROM awa.get_job(p_id) AS j
                    WHERE j.state NOT IN ('completed', 'failed', 'cancelled'));
END
$$;

-- The job at a place that awa.find_in_state() named.
CREATE OR REPLACE FUNCTION awa.job_at(p_id bigint, p_slot smallint, p_pos bigint)
RETURNS SETOF awa.jobs
LANGUAGE plpgsql
AS $$
BEGIN
    IF p_pos IS NULL THEN
        RETURN QUERY SELECT j.* FROM awa.jobs AS j WHERE j.id = p_id AND j.ready_slot IS NULL;
    ELSE
        RETURN QUERY SELECT j.* FROM awa.jobs AS j WHERE j.ready_slot = p_slot AND j.pos = p_pos;
    END IF;
END
$$;

-- Where running jobs are, the newest first. One statement: it sees a job that is carried meanwhile in one
-- slot or in the other.
CREATE OR REPLACE FUNCTION awa.find_running(p_before bigint, p_max int)
RETURNS TABLE (id bigint, ready_slot smallint, pos bigint)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
        SELECT e.id, e.ready_slot, e.pos
          FROM (SELECT c.ready_slot, range_agg(c.positions) AS positions
                  FROM awa.claims AS c WHERE c.n > 0 GROUP BY c.ready_slot) AS held
         CROSS JOIN LATERAL unnest(held.positions
                                   - (SELECT coalesce(range_agg(k.positions), '{}')
                                        FROM awa.closures_near(held.ready_slot, held.positions)
                                          AS k)) AS r
         CROSS JOIN LATERAL (
                SELECT e.id, e.ready_slot, e.pos
                  FROM awa.ready_entries AS e
                 WHERE e.ready_slot = held.ready_slot AND e.pos >= lower(r) AND e.pos < upper(r)
                OFFSET 0) AS e
         WHERE e.id < p_before
         ORDER BY e.id DESC
         LIMIT p_max;
END
$$;

-- Where the jobs in a state are, newest id first, at most p_max, with ids below p_before. A job that is
-- not in the ring has no slot. p_state is any but completed: completed jobs have to be looked for in
-- history.
CREATE OR REPLACE FUNCTION awa.find_in_state(p_state awa.job_state, p_before bigint, p_max int)
RETURNS TABLE (id bigint, ready_slot smallint, pos bigint)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
BEGIN
    IF p_state IN ('scheduled', 'retryable') THEN
        RETURN QUERY
            SELECT d.id, NULL::smallint, NULL::bigint
              FROM awa.deferred_jobs AS d
             WHERE d.state = p_state AND d.id < p_before
             ORDER BY d.id DESC
             LIMIT p_max;
    ELSIF p_state IN ('failed', 'cancelled') THEN
        RETURN QUERY
            SELECT f.*
              FROM ((SELECT d.id, d.ready_slot, d.pos
                       FROM awa.done_entries AS d
                      WHERE d.state = p_state AND d.id < p_before
                      ORDER BY d.id DESC
                      LIMIT p_max)
                    UNION ALL
                    (SELECT d.id, NULL, NULL
                       FROM awa.dlq_entries AS d
                      WHERE p_state = 'failed' AND d.id < p_before
                      ORDER BY d.id DESC
                      LIMIT p_max)) AS f
             ORDER BY f.id DESC
             LIMIT p_max;
    ELSIF p_state = 'available' THEN
        RETURN QUERY
            SELECT e.id, e.ready_slot, e.pos
              FROM awa.lanes AS l
             CROSS JOIN LATERAL awa.unclaimed(l.lane_id) AS u (positions)
             CROSS JOIN LATERAL awa.windows(u.positions) AS r
             CROSS JOIN LATERAL (
                    SELECT e.id, e.ready_slot, e.pos
                      FROM awa.ready_entries AS e
                     WHERE e.pos >= lower(r) AND e.pos < upper(r) AND e.pos <@ u.positions
                    OFFSET 0) AS e
             WHERE e.id < p_before
             ORDER BY e.id DESC
             LIMIT p_max;
    ELSIF p_state = 'running' THEN
        RETURN QUERY
            SELECT f.* FROM awa.find_running(p_before, p_max) AS f;
    END IF;
END
$$;

-- Those of awa.list_jobs() that are in a state whose jobs are found where they are.
CREATE OR REPLACE FUNCTION awa.list_by_state(p_state awa.job_state, p_kind text, p_queue text, p_tag text,
        p_before bigint, p_limit int)
RETURNS SETOF awa.jobs
LANGUAGE plpgsql
AS $$
DECLARE
    v_top bigint := p_before;
    v_window bigint := 1000;
    v_left int := p_limit;
    v_got int;
    v_seen int;
    v_at record;
BEGIN
    WHILE v_left > 0 LOOP
        v_seen := 0;
        FOR v_at IN SELECT f.* FROM awa.find_in_state(p_state, v_top, v_window::int) AS f LOOP
            RETURN QUERY
                SELECT j.*
                  FROM awa.job_at(v_at.id, v_at.ready_slot, v_at.pos) AS j
                 WHERE j.state = p_state
                   AND (p_kind IS NULL OR j.kind = p_kind)
                   AND (p_queue IS NULL OR j.queue = p_queue)
                   AND (p_tag IS NULL OR p_tag = ANY (j.tags));
            GET DIAGNOSTICS v_got = ROW_COUNT;
            v_left := v_left - v_got;
            EXIT WHEN v_left = 0;
            v_seen := v_seen + 1;
            v_top := v_at.id;
        END LOOP;
        EXIT WHEN v_seen < v_window;
        v_window := least(v_window * 4, 1000000);
    END LOOP;
END
$$;

-- Those of awa.list_jobs() in any state, or completed: in windows of ids from the top down.
CREATE OR REPLACE FUNCTION awa.list_by_id(p_state awa.job_state, p_kind text, p_queue text, p_tag text,
        p_before bigint, p_limit int)
RETURNS SETOF awa.jobs
LANGUAGE plpgsql
AS $$
DECLARE
    v_top bigint := p_before;
    v_window bigint := 1000;
    v_left int := p_limit;
    v_got int;
    v_began timestamptz;
    v_low bigint;
BEGIN
    WHILE v_left > 0 AND v_top > 1 LOOP
        v_low := greatest(v_top - v_window, 1);
        v_began := clock_timestamp();
        RETURN QUERY
            SELECT j.*
              FROM awa.jobs AS j
             WHERE j.id >= v_low AND j.id < v_top
               AND (p_state IS NULL OR j.state = p_state)
               AND (p_kind IS NULL OR j.kind = p_kind)
               AND (p_queue IS NULL OR j.queue = p_queue)
               AND (p_tag IS NULL OR p_tag = ANY (j.tags))
             ORDER BY j.id DESC
             LIMIT v_left;
        GET DIAGNOSTICS v_got = ROW_COUNT;
        v_left := v_left - v_got;
        v_top := v_low;
        IF clock_timestamp() - v_began < '50 ms' THEN
            v_window := least(v_window * 4, 1000000000000000000);
        END IF;
    END LOOP;
END
$$;

-- A job as JSON, for programs. Numbers that may pass 2^53 are strings, because many readers of JSON would
-- round them.
-- Door: inlined.
CREATE OR REPLACE FUNCTION awa.job_json(p_job awa.jobs)
RETURNS jsonb
LANGUAGE sql STABLE
RETURN to_jsonb(p_job) || jsonb_build_object('pos', (p_job).pos::text,
                                             'worker_id', (p_job).worker_id::text);

-- The state with a name; NULL for NULL. Raises JQ001, naming the states.
-- Door: plain.
CREATE OR REPLACE FUNCTION awa.need_state(p_state text)
RETURNS awa.job_state
LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
    RETURN p_state::awa.job_state;
EXCEPTION WHEN invalid_text_representation THEN
    RAISE EXCEPTION 'state: want %, got %', array_to_string(enum_range(NULL::awa.job_state), ', '),
          left(p_state, 80) USING ERRCODE = 'JQ001';
END
$$;

-- Jobs, newest id first, with ids below p_before (NULL: from the newest). Each filter may be NULL. Jobs
-- that live, have failed or were cancelled are found where they are (awa.find_in_state). Completed jobs,
-- or jobs in any state, are found in windows of ids from the top down. The next window is wider if the
-- last one took little time: so ids that are gone cost little.
-- Door: lookup.
CREATE OR REPLACE FUNCTION awa.list_jobs(p_state awa.job_state DEFAULT NULL,
        p_kind text DEFAULT NULL, p_queue text DEFAULT NULL, p_tag text DEFAULT NULL,
        p_before bigint DEFAULT NULL, p_limit int DEFAULT 100)
RETURNS SETOF awa.jobs
LANGUAGE plpgsql
AS $$
DECLARE
    v_before CONSTANT bigint := least(p_before, awa.newest_id() + 1);
BEGIN
    IF p_limit IS NULL OR p_limit NOT BETWEEN 1 AND 10000 THEN
        RAISE EXCEPTION 'limit: want 1 to 10000, got %', p_limit USING ERRCODE = 'JQ001';
    END IF;
    IF p_state <> 'completed' THEN
        RETURN QUERY
            SELECT j.* FROM awa.list_by_state(p_state, p_kind, p_queue, p_tag, v_before, p_limit) AS j;
    ELSE
        RETURN QUERY
            SELECT j.* FROM awa.list_by_id(p_state, p_kind, p_queue, p_tag, v_before, p_limit) AS j;
    END IF;
END
$$;

-- The highest id that was handed out.
CREATE OR REPLACE FUNCTION awa.newest_id()
RETURNS bigint
LANGUAGE sql STABLE
RETURN coalesce(pg_sequence_last_value('awa.job_ids'::regclass), 0);
