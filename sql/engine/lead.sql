-- SPDX-License-Identifier: MIT
-- requires: ring
-- requires: rescue
-- requires: jobs
-- requires: dlq
-- Leadership and its tasks. One worker at a time does the maintenance. The term is a row, written
-- when leadership changes; that it goes on is a sequence, which leaves no dead row behind. Every
-- decision is taken under one lock, so a leader that slept through its term finds that it is none.

-- Wake the leader if it sleeps beyond p_due. Called by whatever is to run at a later time.
CREATE OR REPLACE FUNCTION awa.wake_leader(p_due timestamptz)
RETURNS void
LANGUAGE sql
BEGIN ATOMIC
    SELECT pg_notify('awa.lead', '')
     WHERE pg_sequence_last_value('awa.leader_sleeps'::regclass) > awa.to_ms(p_due) + 300;
END;

-- Become or stay the leader. Returns the term, or NULL while another leads; the tasks that are
-- due, in order; after how many milliseconds to call again; and the newest job's id, which tells
-- how busy the queue is. p_promote_from and p_expire_from
-- are where the leader's last look ended. With p_resign the term ends now.
CREATE OR REPLACE FUNCTION awa.lead(p_worker bigint,
        p_promote_from timestamptz DEFAULT '-infinity',
        p_expire_from timestamptz DEFAULT '-infinity', p_resign boolean DEFAULT false,
        OUT term bigint, OUT tasks text[], OUT wait_ms bigint, OUT newest_id bigint)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
SET max_parallel_workers_per_gather = 0
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_now timestamptz;
    v_lease bigint;
    v_until bigint;
    v_last record;
    v_next timestamptz;
BEGIN
    tasks := '{}';
    wait_ms := 500;
    newest_id := awa.newest_id();
    PERFORM pg_advisory_xact_lock(awa.lock_class('maintenance'), 2) WHERE p_resign;
    IF NOT pg_try_advisory_xact_lock(awa.lock_class('maintenance'), 2) THEN
        RETURN;
    END IF;
    v_now := clock_timestamp(); -- not before: a term renewed meanwhile would look like a wrong clock
    SELECT (extract(epoch FROM s.leader_lease) * 1000)::bigint INTO v_lease FROM awa.settings AS s;
    v_until := coalesce(pg_sequence_last_value('awa.leader_until'::regclass), 0);
    SELECT l.term, l.worker_id INTO v_last FROM awa.leaders AS l ORDER BY l.term DESC LIMIT 1;

    IF v_last.worker_id IS DISTINCT FROM p_worker THEN
        -- A term in the far future is a clock that was set back, not a leader.
        IF v_until > awa.to_ms(v_now) AND v_until <= awa.to_ms(v_now) + v_lease OR p_resign THEN
            wait_ms := greatest(v_until - awa.to_ms(v_now), 0) + 50 + (random() * 200)::int;
            RETURN;
        END IF;
        INSERT INTO awa.leaders (term, worker_id) VALUES (coalesce(v_last.term, 0) + 1, p_worker);
        DELETE FROM awa.leaders AS l WHERE l.term < coalesce(v_last.term, 0) - 100;
        v_last.term := coalesce(v_last.term, 0) + 1;
    END IF;
    IF p_resign THEN
        PERFORM setval('awa.leader_until', 0);
        PERFORM pg_notify('awa.lead', ''); -- the others sleep until the term would have ended
        RETURN;
    END IF;
    PERFORM setval('awa.leader_until', awa.to_ms(v_now) + v_lease);
    term := v_last.term;

    IF EXISTS (SELECT 1 FROM awa.deferred_jobs AS d
                WHERE d.run_at > p_promote_from AND d.run_at <= v_now) THEN
        tasks := tasks || 'promote'::text;
    END IF;
    IF awa.any_to_rescue(v_now) THEN
        tasks := tasks || 'rescue'::text;
    END IF;
    IF EXISTS (SELECT 1 FROM awa.claims AS c
                WHERE c.deadline_at > p_expire_from
                  AND c.deadline_at <= v_now - awa.deadline_grace()) THEN
        tasks := tasks || 'expire'::text;
    END IF;
    IF EXISTS (SELECT 1 FROM awa.lane_gaps) THEN
        tasks := tasks || 'sweep'::text;
    END IF;

    -- Until the next deferred job is due, but not so long that a dead worker or a full slot waits.
    SELECT min(d.run_at) INTO v_next
      FROM awa.deferred_jobs AS d WHERE d.run_at > greatest(p_promote_from, v_now);
    wait_ms := least(v_lease * 3 / 4,
                     greatest(50, coalesce(awa.to_ms(v_next) - awa.to_ms(v_now), v_lease)));
    IF cardinality(tasks) > 0 THEN
        wait_ms := least(wait_ms, 250);
    END IF;
    IF wait_ms > 300 THEN
        PERFORM setval('awa.leader_sleeps', awa.to_ms(v_now) + wait_ms);
    END IF;
END
$$;

-- The ring's turn: rotate if it is due, fold the counts of sealed slots, forget dead letters and
-- heartbeats that are too old, and say which slot wants to be emptied. Called by the leader about once a second.
CREATE OR REPLACE FUNCTION awa.turn_ring(p_now timestamptz DEFAULT clock_timestamp(),
        OUT opened smallint, OUT to_prune smallint)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
SET max_parallel_workers_per_gather = 0
SET enable_seqscan = off
SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    PERFORM awa.require_read_committed('turn');
    IF pg_try_advisory_xact_lock(awa.lock_class('maintenance'), 1) THEN
        opened := awa.rotate_ring(p_now => p_now);
        PERFORM awa.fold_slots(p_now);
    END IF;
    PERFORM awa.expire_dlq(p_now);
    to_prune := awa.slot_to_prune(p_now);
    PERFORM awa.clear_beats(p_now); -- last: it locks what others read, to the end of the transaction
END
$$;

-- Seal lanes that have used 90 % of their 2^44 positions; the next insert opens a successor.
CREATE OR REPLACE FUNCTION awa.seal_full_lanes()
RETURNS int
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
SET max_parallel_workers_per_gather = 0
AS $$
DECLARE
    v_n int;
BEGIN
    UPDATE awa.lanes AS l SET sealed = true
     WHERE NOT l.sealed
       AND pg_sequence_last_value(l.positions) - (l.lane_id::bigint << 44)
           > (1::bigint << 44) / 10 * 9;
    GET DIAGNOSTICS v_n = ROW_COUNT;
    RETURN v_n;
END
$$;
