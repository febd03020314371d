-- SPDX-License-Identifier: MIT
-- Leadership and its tasks. One worker at a time does the maintenance. Its term is a row, written when
-- leadership changes. A sequence says until when the term lasts, and leaves no dead row. Every decision
-- is taken under one lock, so a leader that slept through its term learns that it does not lead any more.

-- ---- The term ------------------------------------------------------------------------------

-- Become or stay the leader. Returns
-- - term: NULL while another worker leads or is just asking, and with p_resign;
-- - tasks: the tasks that are due, in order;
-- - wait_ms: after how many milliseconds to call again;
-- - newest_id: the newest job's id, which tells how busy the queue is;
-- - listens: whether to LISTEN on awa.lead meanwhile.
-- p_promote_from and p_expire_from are where the leader's last look ended. With p_resign the term ends
-- now.
-- Door: lookup.
CREATE OR REPLACE FUNCTION awa.lead(p_worker bigint,
        p_promote_from timestamptz DEFAULT '-infinity',
        p_expire_from timestamptz DEFAULT '-infinity', p_resign boolean DEFAULT false,
        OUT term bigint, OUT tasks text[], OUT wait_ms bigint, OUT newest_id bigint,
        OUT listens boolean)
LANGUAGE plpgsql
AS $$
DECLARE
    v_number CONSTANT bigint := awa.worker_number(p_worker);
BEGIN
    tasks := '{}';
    wait_ms := 500;
    newest_id := awa.newest_id();
    listens := coalesce(awa.is_listener(v_number), false);
    -- A worker that sees that another one leads takes no lock.
    IF NOT p_resign AND awa.other_leads(v_number) THEN
        wait_ms := awa.rest_of_term()
                   + CASE WHEN listens THEN 0 ELSE least(30 * awa.fleet_size(), 10000) END;
        RETURN;
    END IF;
    PERFORM awa.take_lock('leadership') WHERE p_resign;
    IF NOT awa.try_lock('leadership') THEN
        RETURN;
    END IF;
    term := awa.hold_term(v_number, p_resign);
    IF term IS NULL THEN
        wait_ms := awa.rest_of_term();
        RETURN;
    END IF;
    listens := true;
    PERFORM awa.tick_served();
    SELECT d.tasks, d.wait_ms INTO tasks, wait_ms
      FROM awa.due_tasks(p_promote_from, p_expire_from) AS d;
    IF wait_ms > 300 THEN
        PERFORM setval('awa.leader_sleeps', awa.to_ms(clock_timestamp()) + wait_ms);
    END IF;
END
$$;

-- For how many milliseconds a candidate waits: the rest of the term, and 50 to 250 ms more, at random.
-- (In a large fleet, awa.lead() lets candidates that do not listen wait longer.)
CREATE OR REPLACE FUNCTION awa.rest_of_term()
RETURNS bigint
LANGUAGE sql VOLATILE
RETURN greatest(coalesce(pg_sequence_last_value('awa.leader_until'), 0)
                - awa.to_ms(clock_timestamp()), 0) + 50 + (random() * 200)::int;

-- How long a term lasts unless it is renewed, in milliseconds.
CREATE OR REPLACE FUNCTION awa.term_ms()
RETURNS bigint
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN (SELECT awa.interval_ms(s.leader_lease) FROM awa.settings AS s);
END
$$;

-- Whether a term of another worker lasts. A term that ends in the far future does not count: the clock
-- was set back.
CREATE OR REPLACE FUNCTION awa.other_leads(p_number bigint)
RETURNS boolean
LANGUAGE plpgsql
AS $$
DECLARE
    v_until CONSTANT bigint := coalesce(pg_sequence_last_value('awa.leader_until'), 0);
    v_now CONSTANT bigint := awa.to_ms(clock_timestamp());
BEGIN
    RETURN v_until > v_now AND v_until <= v_now + awa.term_ms()
           AND (SELECT l.worker_id FROM awa.leaders AS l ORDER BY l.term DESC LIMIT 1)
               IS DISTINCT FROM p_number;
END
$$;

-- Begin a term, or renew it; with p_resign, end it. The caller holds the leadership lock, so only one
-- worker at a time does this. A worker that has ended can only resign. Returns the term; NULL if another
-- worker leads, or this one does not lead any more.
CREATE OR REPLACE FUNCTION awa.hold_term(p_number bigint, p_resign boolean)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_last record;
BEGIN
    IF NOT p_resign AND NOT EXISTS (SELECT 1 FROM awa.workers AS w
                                     WHERE w.worker_id = p_number AND w.ended_at IS NULL) THEN
        RETURN NULL;
    END IF;
    SELECT l.term, l.worker_id INTO v_last FROM awa.leaders AS l ORDER BY l.term DESC LIMIT 1;
    IF v_last.worker_id IS DISTINCT FROM p_number THEN
        IF awa.other_leads(p_number) OR p_resign THEN
            RETURN NULL;
        END IF;
        INSERT INTO awa.leaders (term, worker_id) VALUES (coalesce(v_last.term, 0) + 1, p_number);
        DELETE FROM awa.leaders AS l WHERE l.term < coalesce(v_last.term, 0) - 100;
        v_last.term := coalesce(v_last.term, 0) + 1;
    END IF;
    IF p_resign THEN
        PERFORM setval('awa.leader_until', 0);
        PERFORM pg_notify('awa.lead', ''); -- else the others sleep until the term would have ended
        RETURN NULL;
    END IF;
    PERFORM setval('awa.leader_until', awa.to_ms(clock_timestamp()) + awa.term_ms());
    RETURN v_last.term;
END
$$;

-- ---- Tasks ---------------------------------------------------------------------------------

-- What is due, and after how many milliseconds to ask again: when the next deferred job is due, but after
-- 50 ms at least, and before the last quarter of the term begins. While a task is due or gaps are moved
-- aside, after 250 ms at most.
CREATE OR REPLACE FUNCTION awa.due_tasks(p_promote_from timestamptz, p_expire_from timestamptz,
        OUT tasks text[], OUT wait_ms bigint)
LANGUAGE plpgsql
AS $$
DECLARE
    v_now CONSTANT timestamptz := clock_timestamp();
    v_lease CONSTANT bigint := awa.term_ms();
    v_next timestamptz;
BEGIN
    tasks := '{}';
    IF EXISTS (SELECT 1 FROM awa.deferred_jobs AS d
                WHERE d.run_at > p_promote_from AND d.run_at <= v_now) THEN
        tasks := tasks || 'promote'::text;
    END IF;
    IF EXISTS (SELECT 1 FROM awa.dead_workers('0 s')) THEN
        tasks := tasks || 'rescue'::text;
    END IF;
    IF EXISTS (SELECT 1 FROM awa.claims AS c
                WHERE c.deadline_at > p_expire_from
                  AND c.deadline_at <= v_now - awa.deadline_grace()) THEN
        tasks := tasks || 'expire'::text;
    END IF;
    IF EXISTS (SELECT 1 FROM awa.news_aside()) THEN
        tasks := tasks || 'sweep'::text;
    END IF;
    IF EXISTS (SELECT 1 FROM awa.undecided_jobs) THEN
        tasks := tasks || 'decide'::text;
    END IF;

    SELECT min(d.run_at) INTO v_next
      FROM awa.deferred_jobs AS d WHERE d.run_at > greatest(p_promote_from, v_now);
    wait_ms := least(v_lease * 3 / 4,
                     greatest(50, coalesce(awa.to_ms(v_next) - awa.to_ms(v_now), v_lease)));
    IF cardinality(tasks) > 0 OR EXISTS (SELECT 1 FROM awa.lane_gaps) THEN
        wait_ms := least(wait_ms, 250);
    END IF;
END
$$;

-- The ring's turn: rotate if that is due, fold the counts of sealed slots, forget old dead letters and
-- heartbeats, report the gauges, and name the slot that should be emptied. Called by the leader about
-- once a second.
-- Door: hot.
CREATE OR REPLACE FUNCTION awa.turn_ring(p_now timestamptz DEFAULT clock_timestamp(),
        OUT opened smallint, OUT to_prune smallint)
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM awa.require_read_committed('turn');
    IF awa.try_lock('maintenance') THEN
        opened := awa.rotate_ring(p_now => p_now);
        PERFORM awa.fold_slots(p_now);
    END IF;
    PERFORM awa.expire_dlq(p_now), awa.report_gauges();
    to_prune := awa.slot_to_prune(p_now);
    PERFORM awa.clear_beats(); -- last: to the end of the transaction it locks what others read
END
$$;

-- ---- Notes about tasks, for awa.health() ---------------------------------------------------

-- Note that a task, which is one statement, has failed with an error, or has succeeded (p_error NULL).
-- Called by the leader when that changes, and once a minute while it goes on, so that an old note is not
-- taken for news.
-- Door: plain.
CREATE OR REPLACE FUNCTION awa.note_maintenance(p_task text, p_error text DEFAULT NULL,
        p_now timestamptz DEFAULT clock_timestamp())
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_error text := left(p_error, 250); -- characters of up to four bytes
BEGIN
    INSERT INTO awa.maintenance_tasks AS t (task, succeeded_at, failing_since, failed_at, error)
    VALUES (p_task, CASE WHEN v_error IS NULL THEN p_now END,
            CASE WHEN v_error IS NOT NULL THEN p_now END,
            CASE WHEN v_error IS NOT NULL THEN p_now END, v_error)
        ON CONFLICT (task) DO UPDATE
       SET succeeded_at = coalesce(excluded.succeeded_at, t.succeeded_at),
           failing_since = CASE WHEN v_error IS NULL THEN NULL
                                WHEN awa.is_failing(t, p_now) THEN t.failing_since
                                ELSE p_now END,
           failed_at = coalesce(excluded.failed_at, t.failed_at),
           error = coalesce(excluded.error, t.error);
END
$$;

-- Whether a task fails at the moment. A failure that is not noted again for 3 minutes has passed, or its
-- task is not needed any more.
CREATE OR REPLACE FUNCTION awa.is_failing(p_task awa.maintenance_tasks, p_now timestamptz)
RETURNS boolean
LANGUAGE sql IMMUTABLE
RETURN (p_task).failing_since IS NOT NULL AND (p_task).failed_at > p_now - interval '3 min';
