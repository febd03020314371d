-- SPDX-License-Identifier: MIT
-- The life of a worker process as the database sees it. docs/engine.md section "Dead workers".

-- ---- Names ---------------------------------------------------------------------------------

-- The form in which a worker's secret is stored.
CREATE OR REPLACE FUNCTION awa.worker_secret(p_worker bigint)
RETURNS bytea
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN sha256(int8send(p_worker));

-- The public number of the worker with a secret; NULL if there is none.
CREATE OR REPLACE FUNCTION awa.worker_number(p_worker bigint)
RETURNS bigint
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN (SELECT w.worker_id FROM awa.workers AS w
             WHERE w.secret = awa.worker_secret(p_worker));
END
$$;

-- ---- Time ----------------------------------------------------------------------------------

-- The engine's own time, in milliseconds.
CREATE OR REPLACE FUNCTION awa.served_now()
RETURNS bigint
LANGUAGE sql VOLATILE
RETURN coalesce(pg_sequence_last_value('awa.served_ms'), 0);

-- Move the engine's own time on by what has passed since it was last moved, but by 1.5 s at most. It
-- counts time during which the database served somebody: while the server stands still, or nobody reaches
-- it, or when its clock is set, no worker falls silent. After more than 2.5 s, which is more than a live
-- worker lets pass, and when the clock went back, all workers get a new grace: they have to come back
-- first.
-- Called by heartbeats and by the leader. Sequences hold the time, so it leaves no dead row.
CREATE OR REPLACE FUNCTION awa.tick_served(p_now timestamptz DEFAULT clock_timestamp())
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_now CONSTANT bigint := awa.to_ms(p_now);
    v_passed CONSTANT bigint := v_now - coalesce(pg_sequence_last_value('awa.served_at'), 0);
    v_served CONSTANT bigint := awa.served_now() + greatest(least(v_passed, 1500), 0);
BEGIN
    IF v_passed BETWEEN 0 AND 100 THEN
        RETURN;
    END IF;
    PERFORM setval('awa.served_at', v_now), setval('awa.served_ms', v_served);
    IF v_passed NOT BETWEEN 0 AND 2500 THEN
        PERFORM setval('awa.outage_ended', v_served);
    END IF;
END
$$;

-- ---- Being seen ----------------------------------------------------------------------------

-- Workers, and when each was last seen: by the clock, for people, and by the engine's own time.
CREATE OR REPLACE VIEW awa.seen_workers AS
SELECT w.worker_id, w.name, w.queues, w.kinds, w.session, w.registered_at, w.lease, w.ended_at,
       w.empty, w.rescued, greatest(w.last_seen_at, b.seen_at) AS last_seen_at,
       greatest(w.seen_ms, b.seen_ms) AS seen_ms
  FROM awa.workers AS w
  LEFT JOIN LATERAL (
        SELECT b.seen_at, b.seen_ms
          FROM awa.worker_beats AS b
         WHERE b.worker_id = w.worker_id
         ORDER BY b.seen_ms DESC
         LIMIT 1) AS b ON true;

-- For how long a worker that was seen at p_seen_ms has been silent.
CREATE OR REPLACE FUNCTION awa.silence(p_seen_ms bigint)
RETURNS interval
LANGUAGE sql VOLATILE
RETURN (awa.served_now()
        - greatest(p_seen_ms, coalesce(pg_sequence_last_value('awa.outage_ended'), 0)))
       * interval '1 ms';

-- The key of the lock that the session of a worker holds.
CREATE OR REPLACE FUNCTION awa.session_key(p_number bigint)
RETURNS int
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (p_number & 2147483647)::int;

-- Whether any session, or this one (p_mine), holds the lock of a worker.
CREATE OR REPLACE FUNCTION awa.session_holds(p_number bigint, p_mine boolean)
RETURNS boolean
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN EXISTS (
        SELECT 1
          FROM pg_locks AS l
         WHERE l.locktype = 'advisory' AND l.objsubid = 2 AND l.granted
           AND l.classid::bigint = awa.lock_class('worker')
           AND l.objid::bigint = awa.session_key(p_number)
           AND l.database = (SELECT d.oid FROM pg_database AS d
                              WHERE d.datname = current_database())
           AND (NOT p_mine OR l.pid = pg_backend_pid()));
END
$$;

-- Workers that may still hold jobs and have ended, or will be dead p_ahead from now. A worker is dead
-- when it was silent for the grace and no session holds its lock, or when it was silent for its lease.
CREATE OR REPLACE FUNCTION awa.dead_workers(p_ahead interval)
RETURNS TABLE (worker_id bigint, name text, reason text)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
        SELECT w.worker_id, w.name,
               CASE WHEN w.ended_at IS NOT NULL THEN 'ended'
                    WHEN awa.silence(w.seen_ms) + p_ahead > coalesce(w.lease, s.worker_lease)
                    THEN format('was silent since %s', w.last_seen_at)
                    ELSE 'lost its session' END
          FROM awa.seen_workers AS w, awa.settings AS s
         WHERE NOT w.empty
           AND (w.ended_at IS NOT NULL
                OR awa.silence(w.seen_ms) + p_ahead > coalesce(w.lease, s.worker_lease)
                OR (w.session AND awa.silence(w.seen_ms) + p_ahead > s.worker_grace
                    AND NOT awa.session_holds(w.worker_id, false)))
         ORDER BY w.worker_id;
END
$$;

-- The child of worker_beats for a time: each has one minute of three.
CREATE OR REPLACE FUNCTION awa.beat_slot(p_seen_ms bigint)
RETURNS smallint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (p_seen_ms / 60000 % 3)::smallint;

-- Forget the beats of the child that comes next; they are more than a minute old. The row of a worker
-- that was not seen since then keeps the time. Called by the leader. Does nothing if somebody is reading
-- the beats; the leader comes again.
CREATE OR REPLACE FUNCTION awa.clear_beats()
RETURNS void
LANGUAGE plpgsql
SET lock_timeout = '10ms'
AS $$
DECLARE
    v_slot smallint := awa.beat_slot(awa.served_now() + 60000);
    v_child text := format('awa.%I', 'worker_beats_' || v_slot);
BEGIN
    IF pg_relation_size(v_child::regclass) = 0 THEN
        RETURN;
    END IF;
    EXECUTE 'LOCK TABLE ' || v_child || ' IN ACCESS EXCLUSIVE MODE';
    UPDATE awa.workers AS w
       SET last_seen_at = s.last_seen_at, seen_ms = s.seen_ms
      FROM awa.seen_workers AS s
     WHERE s.worker_id = w.worker_id AND w.ended_at IS NULL
       AND s.seen_ms = (SELECT max(b.seen_ms)
                          FROM awa.worker_beats AS b
                         WHERE b.worker_id = w.worker_id AND b.beat_slot = v_slot);
    EXECUTE 'TRUNCATE ' || v_child;
EXCEPTION WHEN lock_not_available THEN
    NULL;
END
$$;

-- ---- The life of a worker ------------------------------------------------------------------

-- Register a worker. p_worker is its secret: a random number, drawn anew for every registration. A
-- program that knows it can claim and close in the worker's name, and no attempt of an earlier life can
-- ever match. With p_session the caller's session holds a lock from now on, and the worker's end is
-- noticed when the connection dies; without p_session, only when heartbeats stop. p_kinds NULL: the
-- worker runs every kind. Returns the number by which everybody else knows the worker.
-- Door: plain.
CREATE OR REPLACE FUNCTION awa.register_worker(p_worker bigint, p_name text, p_queues text[],
        p_kinds text[] DEFAULT NULL, p_session boolean DEFAULT true,
        p_lease interval DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_queue text;
    v_number bigint;
    v_session boolean;
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
    PERFORM awa.tick_served();
    v_number := nextval('awa.worker_numbers');
    INSERT INTO awa.workers (worker_id, secret, name, queues, kinds, session, lease, seen_ms)
    VALUES (v_number, awa.worker_secret(p_worker), left(p_name, 200), p_queues, p_kinds,
            coalesce(p_session, false), p_lease, awa.served_now());
    -- If a stranger holds that lock, it is taken for the session: the worker is then dead at the end of
    -- its lease.
    PERFORM pg_try_advisory_lock(awa.lock_class('worker'), awa.session_key(v_number))
      WHERE p_session;
    RETURN v_number;
EXCEPTION WHEN unique_violation THEN
    RAISE EXCEPTION 'worker: this number is taken' USING ERRCODE = 'JQ001',
          HINT = 'Draw another one.';
END
$$;

-- Begin a claim of a worker. Its rescue and its reconciliation pass over the worker until this
-- transaction ends; once one of them has begun, the worker claims no more (JQ003). Returns its public
-- number.
CREATE OR REPLACE FUNCTION awa.enter_worker(p_worker bigint)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_number bigint;
BEGIN
    SELECT w.worker_id INTO v_number
      FROM awa.workers AS w
     WHERE w.secret = awa.worker_secret(p_worker) AND w.ended_at IS NULL AND w.queues <> '{}'
       FOR SHARE SKIP LOCKED;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'worker: it is not registered, claims no more or was given up for dead'
              USING ERRCODE = 'JQ003', HINT = 'Register again under a new number.';
    END IF;
    RETURN v_number;
END
$$;

-- Keep a worker from claiming until the transaction ends. Returns false, and does not wait, if a claim of
-- it is in flight.
CREATE OR REPLACE FUNCTION awa.try_worker(p_number bigint)
RETURNS boolean
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM 1 FROM awa.workers AS w WHERE w.worker_id = p_number FOR UPDATE SKIP LOCKED;
    RETURN FOUND;
END
$$;

-- Whether a worker is to listen for notifications: fewer than four live workers with a lower number share
-- a queue with it. A notification wakes every session of the database that listens, whatever it listens
-- to; so of a large fleet only few workers listen. The others look by themselves, all of them together
-- fifty times a second.
CREATE OR REPLACE FUNCTION awa.is_listener(p_number bigint)
RETURNS boolean
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN (SELECT count(*) < 4
              FROM (SELECT 1
                      FROM awa.workers AS w
                      JOIN awa.workers AS o ON o.worker_id < w.worker_id AND o.ended_at IS NULL
                                           AND o.queues && w.queues
                     WHERE w.worker_id = p_number
                     LIMIT 4) AS o);
END
$$;

CREATE OR REPLACE FUNCTION awa.fleet_size()
RETURNS bigint
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN (SELECT count(*) FROM awa.workers AS w WHERE w.ended_at IS NULL);
END
$$;

-- Those of p_queues in which there is work now. Cheap; locks and writes nothing.
-- Door: hot.
CREATE OR REPLACE FUNCTION awa.ready_queues(p_queues text[])
RETURNS text[]
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN ARRAY(SELECT q FROM unnest(p_queues) AS q WHERE awa.queue_has_work(q));
END
$$;

-- Say that these identities of one process are alive. p_hungry names the queues in which the process
-- waits for work. p_positions[i] are attempts of claim p_claims[i] that have run for a while. With
-- p_session the caller's session is a new one, and takes the locks of the identities. The process holds
-- p_held[i] jobs of queue p_queues[i]; gauges show that.
-- Returns
-- - known: the identities that are registered and were not given up for dead;
-- - ready: the hungry queues in which there is work now;
-- - lost: those of the positions that the process no longer holds;
-- - server: a number that changes when the server restarts or is replaced;
-- - listens: whether the worker should LISTEN (awa.listen);
-- - poll_ms: if not, how often it should look when it is idle. If that is less often than every 2 s, in
--   which heartbeats come, only some of the heartbeats look for ready queues.
-- Door: lookup.
CREATE OR REPLACE FUNCTION awa.heartbeat(p_workers bigint[], p_hungry text[] DEFAULT '{}',
        p_claims bigint[] DEFAULT '{}', p_positions int8multirange[] DEFAULT '{}',
        p_session boolean DEFAULT false, p_queues text[] DEFAULT NULL, p_held int[] DEFAULT NULL)
RETURNS TABLE (known bigint[], ready text[], lost int8multirange, server bigint, listens boolean,
               poll_ms int)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
    v_now CONSTANT timestamptz := clock_timestamp();
    v_numbers bigint[]; -- of those that are known
    v_all bigint[]; -- and of those that were given up, but may still hold what the rescue could not take
    v_served bigint;
BEGIN
    PERFORM awa.check_length('positions', p_positions, cardinality(p_claims)),
            awa.check_length('held', p_held, cardinality(p_queues));
    PERFORM awa.tick_served(v_now);
    v_served := awa.served_now();
    SELECT coalesce(array_agg(u.secret) FILTER (WHERE w.lives), '{}'),
           coalesce(array_agg(w.worker_id) FILTER (WHERE w.lives), '{}'),
           coalesce(array_agg(w.worker_id), '{}')
      INTO known, v_numbers, v_all
      FROM unnest(p_workers) AS u (secret)
     CROSS JOIN LATERAL (SELECT w.worker_id, w.ended_at IS NULL AS lives
                           FROM awa.workers AS w
                          WHERE w.secret = awa.worker_secret(u.secret)
                         OFFSET 0) AS w;
    INSERT INTO awa.worker_beats (worker_id, seen_at, seen_ms, beat_slot, queues, held)
    SELECT n.n, v_now, v_served, awa.beat_slot(v_served), CASE WHEN n.ord = 1 THEN p_queues END,
           CASE WHEN n.ord = 1 THEN p_held END
      FROM unnest(v_numbers) WITH ORDINALITY AS n (n, ord);
    IF p_session THEN
        PERFORM pg_try_advisory_lock(awa.lock_class('worker'), awa.session_key(w.worker_id))
           FROM awa.workers AS w
          WHERE w.worker_id = ANY (v_numbers) AND w.session
            AND NOT awa.session_holds(w.worker_id, true);
    END IF;
    IF cardinality(p_hungry) > 0 THEN
        PERFORM awa.mark_hungry(p_hungry);
    END IF;
    listens := coalesce((SELECT awa.is_listener(max(n)) FROM unnest(v_numbers) AS n), false);
    poll_ms := CASE WHEN NOT listens THEN 20 * awa.fleet_size()::int END;
    ready := CASE WHEN listens OR random() * poll_ms < 2000 THEN awa.ready_queues(p_hungry)
                  ELSE '{}' END;
    lost := awa.lost_positions(v_all, p_claims, p_positions);
    server := awa.server_number();
    RETURN NEXT;
END
$$;

-- A number that changes with a restart, a crash or a failover: attempts from before may have been lost.
-- When a backend dies, the server ends all others and recovers, while the postmaster lives on with its
-- start time; but then the statistics begin anew. They also begin anew when somebody resets them: workers
-- then register once more, which costs nothing.
CREATE OR REPLACE FUNCTION awa.server_number()
RETURNS bigint
LANGUAGE sql STABLE
RETURN (extract(epoch FROM greatest(pg_postmaster_start_time(),
                                    pg_stat_get_bgwriter_stat_reset_time())) * 1000000)::bigint;

-- End a worker. What it still holds is rescued at once: this wakes a leader for it.
-- Door: plain.
CREATE OR REPLACE FUNCTION awa.deregister_worker(p_worker bigint)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_number CONSTANT bigint := awa.worker_number(p_worker);
BEGIN
    UPDATE awa.workers AS w
       SET ended_at = clock_timestamp(), last_seen_at = clock_timestamp()
     WHERE w.worker_id = v_number AND w.ended_at IS NULL;
    PERFORM pg_advisory_unlock(awa.lock_class('worker'), awa.session_key(v_number))
      WHERE awa.session_holds(v_number, true);
    PERFORM awa.wake_leader(clock_timestamp());
END
$$;
