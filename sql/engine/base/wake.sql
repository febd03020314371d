-- SPDX-License-Identifier: MIT
-- Notifications to workers that wait for work, to the leader, and to workers that may have lost a job. A
-- notification is a hint; a lost one costs one poll interval.

-- ---- Workers that wait for work ------------------------------------------------------------

-- The channel on which the workers of a queue are woken. PostgreSQL allows at most 63 bytes for its name.
CREATE OR REPLACE FUNCTION awa.queue_channel(p_queue text)
RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN 'awa:' || CASE WHEN octet_length(p_queue) <= 59 THEN p_queue ELSE md5(p_queue) END;

-- The sequence that holds the time in ms until which workers of a queue wait for work. Queues share 16 of
-- them: if two queues share one, a job of the first may notify workers of the second for nothing.
CREATE OR REPLACE FUNCTION awa.hungry(p_queue text)
RETURNS regclass
LANGUAGE sql STABLE STRICT
RETURN ('awa.hunger_' || (hashtext(p_queue) & 15))::regclass;

-- Note that a worker of each of these queues waits for work until p_until. A sequence is not
-- transactional: producers see the mark at once, whatever their snapshot, and it leaves no dead row.
-- Door: plain.
CREATE OR REPLACE FUNCTION awa.mark_hungry(p_queues text[],
        p_until timestamptz DEFAULT clock_timestamp() + interval '5 s')
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_until CONSTANT bigint := awa.to_ms(p_until);
    v_sequence regclass;
BEGIN
    FOR v_sequence IN SELECT DISTINCT awa.hungry(q) FROM unnest(p_queues) AS q LOOP
        PERFORM setval(v_sequence, v_until)
          WHERE coalesce(pg_sequence_last_value(v_sequence), 0)
                NOT BETWEEN v_until - 1000 AND v_until + 60000; -- a later one: the clock was set back
    END LOOP;
END
$$;

-- Whether the caller's transaction may notify. PREPARE TRANSACTION refuses a transaction that has
-- notified.
CREATE OR REPLACE FUNCTION awa.may_notify()
RETURNS boolean
LANGUAGE sql STABLE
RETURN coalesce(current_setting('awa.notify', true), '') NOT IN ('off', 'false', 'no', '0');

-- Wake the workers of a queue if one of them waits. Called by each function that makes a job runnable.
-- The notification leaves with the commit; a lost one costs one poll interval. A transaction that is to
-- be prepared must not notify: its owner says SET LOCAL awa.notify = off.
CREATE OR REPLACE FUNCTION awa.wake_queue(p_queue text)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    IF pg_sequence_last_value(awa.hungry(p_queue)) > awa.to_ms(clock_timestamp())
       AND awa.may_notify() THEN
        PERFORM pg_notify(awa.queue_channel(p_queue), '');
    END IF;
END
$$;

-- Listen for work in the queues of a worker, and for cancellations.
-- Door: plain.
CREATE OR REPLACE FUNCTION awa.listen(p_queues text[])
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_queue text;
BEGIN
    FOREACH v_queue IN ARRAY p_queues LOOP
        EXECUTE format('LISTEN %I', awa.queue_channel(v_queue));
    END LOOP;
    LISTEN "awa.cancel";
END
$$;

-- ---- The leader, and one worker ------------------------------------------------------------

-- Wake the leader if it would sleep for more than 300 ms after p_due. Called when something becomes due
-- at p_due.
CREATE OR REPLACE FUNCTION awa.wake_leader(p_due timestamptz)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    IF pg_sequence_last_value('awa.leader_sleeps') > awa.to_ms(p_due) + 300 AND awa.may_notify() THEN
        PERFORM pg_notify('awa.lead', '');
    END IF;
END
$$;

-- Tell a worker that it may have lost some of the jobs that it runs.
CREATE OR REPLACE FUNCTION awa.notify_worker(p_worker bigint)
RETURNS void
LANGUAGE sql
BEGIN ATOMIC
    SELECT pg_notify('awa.cancel', p_worker::text);
END;
