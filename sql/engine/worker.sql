-- SPDX-License-Identifier: MIT
-- requires: lane
-- The life of a worker process as the database sees it. docs/engine.md section "Dead workers".

-- Workers, and when each was seen last.
CREATE OR REPLACE VIEW awa.seen_workers AS
SELECT w.worker_id, w.name, w.queues, w.kinds, w.session, w.registered_at, w.lease, w.ended_at,
       w.empty, w.rescued,
       greatest(w.last_seen_at, (SELECT b.seen_at
                                   FROM awa.worker_beats AS b
                                  WHERE b.worker_id = w.worker_id
                                  ORDER BY b.seen_at DESC
                                  LIMIT 1)) AS last_seen_at
  FROM awa.workers AS w;

-- The children of worker_beats, by the minute.
CREATE OR REPLACE FUNCTION awa.beat_slot(p_at timestamptz)
RETURNS smallint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (awa.to_ms(p_at) / 60000 % 3)::smallint;

-- Forget the beats of the child that comes next; they are more than a minute old. A worker that was
-- not seen since keeps the time in its row. Called by the leader. Comes back later if somebody is
-- reading them.
CREATE OR REPLACE FUNCTION awa.clear_beats(p_now timestamptz DEFAULT clock_timestamp())
RETURNS void
LANGUAGE plpgsql
SET lock_timeout = '10ms'
AS $$
DECLARE
    v_slot smallint := awa.beat_slot(p_now + interval '1 min');
    v_child text := format('awa.%I', 'worker_beats_' || v_slot);
BEGIN
    IF pg_relation_size(v_child::regclass) = 0 THEN
        RETURN;
    END IF;
    EXECUTE 'LOCK TABLE ' || v_child || ' IN ACCESS EXCLUSIVE MODE';
    UPDATE awa.workers AS w
       SET last_seen_at = s.last_seen_at
      FROM awa.seen_workers AS s
     WHERE s.worker_id = w.worker_id AND w.ended_at IS NULL
       AND s.last_seen_at = (SELECT max(b.seen_at)
                               FROM awa.worker_beats AS b
                              WHERE b.worker_id = w.worker_id AND b.beat_slot = v_slot);
    EXECUTE 'TRUNCATE ' || v_child;
EXCEPTION WHEN lock_not_available THEN
    NULL;
END
$$;

-- A new worker. p_worker is a random number, drawn anew for every registration, so that no
-- attempt of an earlier life can ever match. With p_session the caller's session holds a lock
-- on it from now on, and its end is noticed when the connection dies; without, only when
-- heartbeats stop. p_kinds NULL: it runs every kind.
CREATE OR REPLACE FUNCTION awa.register_worker(p_worker bigint, p_name text, p_queues text[],
        p_kinds text[] DEFAULT NULL, p_session boolean DEFAULT true,
        p_lease interval DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
SET max_parallel_workers_per_gather = 0
AS $$
DECLARE
    v_queue text;
BEGIN
    IF p_worker IS NULL OR p_worker <= 0 THEN
        RAISE EXCEPTION 'worker: want a random number above 0' USING ERRCODE = 'JQ001';
    END IF;
    IF coalesce(cardinality(p_queues), 0) NOT BETWEEN 1 AND 1000 THEN
        RAISE EXCEPTION 'queues: want 1 to 1000, got %', coalesce(cardinality(p_queues), 0)
              USING ERRCODE = 'JQ001';
    END IF;
    PERFORM awa.require_durable();
    FOR v_queue IN SELECT DISTINCT q FROM unnest(p_queues) AS q ORDER BY q LOOP
        PERFORM awa.open_queue(v_queue);
    END LOOP;
    IF p_session AND NOT pg_try_advisory_lock(p_worker) THEN
        RAISE EXCEPTION 'worker: % is taken', p_worker USING ERRCODE = 'JQ001';
    END IF;
    INSERT INTO awa.workers (worker_id, name, queues, kinds, session, lease)
    VALUES (p_worker, left(p_name, 200), p_queues, p_kinds, p_session, p_lease);
EXCEPTION WHEN unique_violation THEN
    RAISE EXCEPTION 'worker: % is taken', p_worker USING ERRCODE = 'JQ001';
END
$$;

-- A worker is about to claim. Its rescue and its reconciliation wait until the transaction ends,
-- and once one of them has begun, it claims no more.
CREATE OR REPLACE FUNCTION awa.enter_worker(p_worker bigint)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(-p_worker);
    PERFORM 1
       FROM awa.workers AS w
      WHERE w.worker_id = p_worker AND w.ended_at IS NULL AND w.queues <> '{}';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'worker: % is not registered, claims no more or was given up for dead',
                        p_worker
              USING ERRCODE = 'JQ003', HINT = 'Register again under a new number.';
    END IF;
END
$$;

-- These identities of one process are alive. p_hungry names the queues in which it waits for
-- work. p_claims[i] and p_positions[i] are attempts that have run for a while.
-- Returns: known, which identities are still registered and not given up for dead; ready, the
-- hungry queues in which there may be work now; lost, which of the positions it no longer
-- holds; server, a number that changes when the server restarts or is replaced.
CREATE OR REPLACE FUNCTION awa.heartbeat(p_workers bigint[], p_hungry text[] DEFAULT '{}',
        p_claims bigint[] DEFAULT '{}', p_positions bigint[] DEFAULT '{}')
RETURNS TABLE (known bigint[], ready text[], lost bigint[], server bigint)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
SET max_parallel_workers_per_gather = 0
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := clock_timestamp();
BEGIN
    INSERT INTO awa.worker_beats (worker_id, seen_at, beat_slot)
    SELECT w.worker_id, v_now, awa.beat_slot(v_now)
      FROM awa.workers AS w
     WHERE w.worker_id = ANY (p_workers) AND w.ended_at IS NULL;
    PERFORM pg_try_advisory_lock(w.worker_id)
       FROM awa.workers AS w
      WHERE w.worker_id = ANY (p_workers) AND w.session AND w.ended_at IS NULL
        AND NOT awa.session_holds(w.worker_id);
    PERFORM awa.mark_hungry(p_hungry);

    RETURN QUERY
    SELECT coalesce((SELECT array_agg(w.worker_id)
                       FROM awa.workers AS w
                      WHERE w.worker_id = ANY (p_workers) AND w.ended_at IS NULL), '{}'),
           coalesce((SELECT array_agg(q)
                       FROM unnest(p_hungry) AS q WHERE awa.queue_may_have_work(q)), '{}'),
           coalesce((SELECT array_agg(mine.pos)
                       FROM unnest(p_claims, p_positions) AS mine (claim_id, pos)
                      WHERE NOT EXISTS (
                            SELECT 1
                              FROM unnest(p_workers) AS w
                             CROSS JOIN LATERAL awa.open_in_slots(w, mine.claim_id,
                                    int8multirange(int8range(mine.pos, mine.pos + 1))))), '{}'),
           awa.server_number();
END
$$;

-- Whether this session holds the session lock of a worker.
CREATE OR REPLACE FUNCTION awa.session_holds(p_worker bigint)
RETURNS boolean
LANGUAGE sql STABLE
RETURN EXISTS (
    SELECT 1
      FROM pg_locks AS l
     WHERE l.locktype = 'advisory' AND l.pid = pg_backend_pid() AND l.objsubid = 1
       AND l.classid = ((p_worker >> 32) & 4294967295)::oid
       AND l.objid = (p_worker & 4294967295)::oid);

-- A number that differs after a restart, a crash or a failover: attempts from before may have been
-- lost. A backend that dies takes the others with it and has the server recover, while the postmaster
-- lives on, with its start time; but then the statistics begin anew. They also do when somebody
-- resets them: workers then register once more, which costs nothing.
CREATE OR REPLACE FUNCTION awa.server_number()
RETURNS bigint
LANGUAGE sql STABLE
RETURN (extract(epoch FROM greatest(pg_postmaster_start_time(),
                                    pg_stat_get_bgwriter_stat_reset_time())) * 1000000)::bigint;

-- The worker ends and holds nothing any more: what is still open of it is rescued at once, by a
-- leader that is woken for it.
CREATE OR REPLACE FUNCTION awa.deregister_worker(p_worker bigint)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
SET max_parallel_workers_per_gather = 0
AS $$
BEGIN
    UPDATE awa.workers AS w
       SET ended_at = clock_timestamp(), last_seen_at = clock_timestamp()
     WHERE w.worker_id = p_worker AND w.ended_at IS NULL;
    PERFORM pg_advisory_unlock(p_worker) WHERE awa.session_holds(p_worker);
    PERFORM awa.wake_leader(clock_timestamp());
END
$$;
