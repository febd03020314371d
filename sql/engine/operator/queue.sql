-- SPDX-License-Identifier: MIT
-- What an operator does to a queue: pause, resume, drain, set, remove; and the common settings.

-- Pause a queue: workers claim nothing more from it. Running jobs go on.
-- Door: plain.
CREATE OR REPLACE FUNCTION awa.pause_queue(p_queue text, p_by text DEFAULT session_user)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM awa.open_queue(p_queue);
    UPDATE awa.queues AS q
       SET paused_at = coalesce(q.paused_at, clock_timestamp()), paused_by = p_by
     WHERE q.queue = p_queue;
END
$$;

-- Door: plain.
CREATE OR REPLACE FUNCTION awa.resume_queue(p_queue text)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM awa.open_queue(p_queue);
    UPDATE awa.queues AS q SET paused_at = NULL, paused_by = NULL WHERE q.queue = p_queue;
    PERFORM awa.wake_queue(p_queue);
END
$$;

-- Cancel at most p_max available and deferred jobs of a queue. Running jobs are left alone. Returns how
-- many were cancelled; call again if that is p_max. Locks: the lanes of the queue, one after the other.
-- Door: plain.
CREATE OR REPLACE FUNCTION awa.drain_queue(p_queue text, p_max int DEFAULT 1000)
RETURNS int
LANGUAGE plpgsql
AS $$
DECLARE
    v_reason CONSTANT text := 'the queue was drained';
    v_id bigint;
    v_lane int;
    v_cancelled int := 0;
BEGIN
    PERFORM awa.require_read_committed('drain');
    FOR v_id IN SELECT d.id FROM awa.deferred_jobs AS d WHERE d.queue = p_queue ORDER BY d.id
                 LIMIT p_max
    LOOP
        IF awa.cancel_job(v_id, v_reason) THEN
            v_cancelled := v_cancelled + 1;
        END IF;
    END LOOP;
    FOR v_lane IN SELECT l.lane_id FROM awa.lanes AS l WHERE l.queue = p_queue ORDER BY l.lane_id
    LOOP
        EXIT WHEN v_cancelled >= p_max;
        v_cancelled := v_cancelled + awa.drain_lane(v_lane, p_max - v_cancelled, v_reason);
    END LOOP;
    RETURN v_cancelled;
END
$$;

-- The same for the jobs that wait in a lane. They are drained by their positions: a search for each by
-- its id would scan all that the leader has not summarized yet.
CREATE OR REPLACE FUNCTION awa.drain_lane(p_lane int, p_max int, p_reason text)
RETURNS int
LANGUAGE plpgsql
AS $$
DECLARE
    v_found record;
    v_last bigint;
    v_cancelled int := 0;
BEGIN
    -- While we hold the lane's lock, no transaction claims or carries what is found.
    PERFORM awa.take_lane(p_lane);
    FOR v_found IN SELECT w.* FROM awa.waiting_runs(p_lane, p_max) AS w LOOP
        v_cancelled := v_cancelled + awa.withdraw_cancelled(v_found.ready_slot, v_found.run,
                                                            p_reason);
        v_last := greatest(v_last, upper(v_found.run) - 1);
    END LOOP;
    IF v_last IS NOT NULL THEN
        PERFORM awa.pass_withdrawn(p_lane, v_last); -- else the next call would look at all of it again
    END IF;
    RETURN v_cancelled;
END
$$;

-- Set a queue. NULL leaves a setting as it is. Before that, the settings that p_defaults names (such as
-- deadline) go back to the common ones; with p_reset all do that follow the common settings. A new number
-- of shards takes effect for new jobs, the dead-letter queue for jobs that fail from now on, a retention
-- at once. Completed and cancelled jobs of a slot are kept for the longest time that one of its queues
-- wants, while there is room in the ring.
-- Door: plain.
CREATE OR REPLACE FUNCTION awa.set_queue(p_queue text, p_enqueue_shards int DEFAULT NULL,
        p_deadline interval DEFAULT NULL, p_aging_interval interval DEFAULT NULL,
        p_reset boolean DEFAULT false, p_dlq_enabled boolean DEFAULT NULL,
        p_completed_retention interval DEFAULT NULL, p_failed_retention interval DEFAULT NULL,
        p_dlq_retention interval DEFAULT NULL, p_defaults text[] DEFAULT '{}')
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_common CONSTANT text[] := ARRAY['deadline', 'aging_interval', 'dlq_enabled',
            'completed_retention', 'failed_retention', 'dlq_retention'];
    v_unknown CONSTANT text := (SELECT min(d) FROM unnest(p_defaults) AS d
                                 WHERE d <> ALL (v_common || 'enqueue_shards'::text));
    v_defaults CONSTANT text[] := p_defaults || CASE WHEN p_reset THEN v_common END;
BEGIN
    IF v_unknown IS NOT NULL THEN
        RAISE EXCEPTION 'queue: there is no setting %', v_unknown USING ERRCODE = 'JQ001';
    END IF;
    IF p_enqueue_shards NOT BETWEEN 1 AND 64 THEN
        RAISE EXCEPTION 'queue: enqueue_shards: want 1 to 64, got %', p_enqueue_shards
              USING ERRCODE = 'JQ001';
    END IF;
    PERFORM awa.check_times('queue', p_deadline, p_aging_interval, p_completed_retention,
                            p_failed_retention, p_dlq_retention),
            awa.open_queue(p_queue);
    UPDATE awa.queues AS q
       SET enqueue_shards = CASE WHEN 'enqueue_shards' <> ALL (v_defaults)
                                 THEN q.enqueue_shards ELSE 1 END,
           deadline = CASE WHEN 'deadline' <> ALL (v_defaults) THEN q.deadline END,
           aging_interval = CASE WHEN 'aging_interval' <> ALL (v_defaults)
                                 THEN q.aging_interval END,
           dlq_enabled = CASE WHEN 'dlq_enabled' <> ALL (v_defaults) THEN q.dlq_enabled END,
           completed_retention = CASE WHEN 'completed_retention' <> ALL (v_defaults)
                                      THEN q.completed_retention END,
           failed_retention = CASE WHEN 'failed_retention' <> ALL (v_defaults)
                                   THEN q.failed_retention END,
           dlq_retention = CASE WHEN 'dlq_retention' <> ALL (v_defaults)
                                THEN q.dlq_retention END
     WHERE q.queue = p_queue AND cardinality(v_defaults) > 0;
    UPDATE awa.queues AS q
       SET enqueue_shards = coalesce(p_enqueue_shards, q.enqueue_shards),
           deadline = coalesce(p_deadline, q.deadline),
           aging_interval = coalesce(p_aging_interval, q.aging_interval),
           dlq_enabled = coalesce(p_dlq_enabled, q.dlq_enabled),
           completed_retention = coalesce(p_completed_retention, q.completed_retention),
           failed_retention = coalesce(p_failed_retention, q.failed_retention),
           dlq_retention = coalesce(p_dlq_retention, q.dlq_retention)
     WHERE q.queue = p_queue;
END
$$;

-- Remove a queue: its settings at once; its lanes and counts when the history of its jobs has left the
-- ring. Raises JQ007 while the queue has jobs that have not ended, dead letters, or workers. An insert
-- makes the queue anew. Returns whether there was such a queue.
-- Door: plain.
CREATE OR REPLACE FUNCTION awa.remove_queue(p_queue text)
RETURNS boolean
LANGUAGE plpgsql
AS $$
DECLARE
    v_left record;
    v_known boolean;
BEGIN
    PERFORM awa.require_read_committed('remove');
    -- A producer that comes later finds no open lane and makes a new one.
    UPDATE awa.lanes AS l SET sealed = true WHERE l.queue = p_queue AND NOT l.sealed;
    v_known := FOUND;
    SELECT c.available + c.scheduled + c.retryable + c.running AS jobs, c.dead_lettered,
           (SELECT count(*) FROM awa.workers AS w
             WHERE p_queue = ANY (w.queues) AND w.ended_at IS NULL) AS workers
      INTO v_left
      FROM awa.queue_counts(p_queue) AS c;
    IF v_left.jobs > 0 OR v_left.dead_lettered > 0 OR v_left.workers > 0 THEN
        RAISE EXCEPTION 'queue %: has % jobs that have not ended, % dead letters and % workers',
              p_queue, v_left.jobs, v_left.dead_lettered, v_left.workers
              USING ERRCODE = 'JQ007', HINT = 'Drain it, purge its dead letters, stop its workers.';
    END IF;
    DELETE FROM awa.queues AS q WHERE q.queue = p_queue;
    RETURN FOUND OR v_known;
END
$$;

-- Set the common settings, which count where a queue has none of its own. NULL leaves a setting as it is.
-- Door: plain.
CREATE OR REPLACE FUNCTION awa.set_defaults(p_deadline interval DEFAULT NULL,
        p_aging_interval interval DEFAULT NULL, p_dlq_enabled boolean DEFAULT NULL,
        p_completed_retention interval DEFAULT NULL, p_failed_retention interval DEFAULT NULL,
        p_dlq_retention interval DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM awa.check_times('defaults', p_deadline, p_aging_interval, p_completed_retention,
                            p_failed_retention, p_dlq_retention);
    UPDATE awa.settings AS s
       SET deadline = coalesce(p_deadline, s.deadline),
           aging_interval = coalesce(p_aging_interval, s.aging_interval),
           dlq_enabled = coalesce(p_dlq_enabled, s.dlq_enabled),
           completed_retention = coalesce(p_completed_retention, s.completed_retention),
           failed_retention = coalesce(p_failed_retention, s.failed_retention),
           dlq_retention = coalesce(p_dlq_retention, s.dlq_retention);
END
$$;

-- The common settings.
-- Door: plain.
CREATE OR REPLACE FUNCTION awa.get_defaults(OUT deadline interval, OUT aging_interval interval,
        OUT dlq_enabled boolean, OUT completed_retention interval, OUT failed_retention interval,
        OUT dlq_retention interval)
LANGUAGE sql STABLE
AS $$
    SELECT s.deadline, s.aging_interval, s.dlq_enabled, s.completed_retention, s.failed_retention,
           s.dlq_retention
      FROM awa.settings AS s
$$;

-- Queues with their settings, for lists: all that have a row of settings, lanes or deferred jobs.
CREATE OR REPLACE VIEW awa.queue_list AS
SELECT n.queue, q.paused_at, q.paused_by, coalesce(q.enqueue_shards, 1) AS enqueue_shards,
       coalesce(q.deadline, s.deadline) AS deadline,
       coalesce(q.aging_interval, s.aging_interval) AS aging_interval,
       (SELECT count(*) FROM awa.workers AS w
         WHERE n.queue = ANY (w.queues) AND w.ended_at IS NULL) AS workers,
       (SELECT count(*) FROM awa.lanes AS l WHERE l.queue = n.queue AND NOT l.retired) AS lanes,
       coalesce(q.dlq_enabled, s.dlq_enabled) AS dlq_enabled,
       coalesce(q.completed_retention, s.completed_retention) AS completed_retention,
       coalesce(q.failed_retention, s.failed_retention) AS failed_retention,
       coalesce(q.dlq_retention, s.dlq_retention) AS dlq_retention
  FROM (SELECT q.queue FROM awa.queues AS q
        UNION
        SELECT l.queue FROM awa.lanes AS l WHERE NOT l.retired
        UNION
        SELECT d.queue FROM awa.deferred_jobs AS d) AS n
 CROSS JOIN awa.settings AS s
  LEFT JOIN awa.queues AS q ON q.queue = n.queue;

-- Workers, for lists.
CREATE OR REPLACE VIEW awa.worker_list AS
SELECT w.worker_id, w.name, w.queues, w.kinds, w.registered_at, w.last_seen_at, w.ended_at,
       w.rescued,
       w.worker_id = (SELECT l.worker_id FROM awa.leaders AS l ORDER BY l.term DESC LIMIT 1)
       AND w.ended_at IS NULL AS leads
  FROM awa.seen_workers AS w;
