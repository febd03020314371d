-- SPDX-License-Identifier: MIT
-- requires: settings
-- Lanes and queues come into being on first use.

-- The shard of an ordering key: equal keys, equal shard, as long as the number of shards stays.
CREATE OR REPLACE FUNCTION awa.shard_of(p_ordering_key text, p_shards int)
RETURNS smallint
LANGUAGE sql VOLATILE
RETURN CASE
    WHEN coalesce(p_shards, 1) = 1 THEN 0
    WHEN p_ordering_key IS NULL THEN floor(random() * p_shards)
    ELSE abs(hashtextextended(p_ordering_key, 0) % p_shards)
    END;

-- The lane in which producers of (queue, priority, shard) put their jobs; made on first use.
-- Two first users wait for each other, but briefly: if the first one keeps its transaction open,
-- the second makes a lane of its own, and both live on. Nobody waits for a business transaction.
CREATE OR REPLACE FUNCTION awa.open_lane(p_queue text, p_priority int, p_shard int)
RETURNS awa.lanes
LANGUAGE plpgsql
AS $$
DECLARE
    v_lane awa.lanes;
    v_first bigint;
BEGIN
    FOR i IN 0 .. 20 LOOP
        SELECT l.* INTO v_lane
          FROM awa.lanes AS l
         WHERE l.queue = p_queue AND l.priority = p_priority AND l.enqueue_shard = p_shard
           AND NOT l.sealed
         ORDER BY l.lane_id
         LIMIT 1;
        IF FOUND THEN
            RETURN v_lane;
        END IF;
        EXIT WHEN pg_try_advisory_xact_lock(awa.lock_class('new lane'),
                hashtext(format('%s %s %s', p_priority, p_shard, p_queue)))
              AND i > 0; -- got it: look once more, another may have been faster
        PERFORM pg_sleep(0.01) WHERE i > 0;
    END LOOP;

    v_lane.lane_id := nextval('awa.lane_ids');
    v_first := v_lane.lane_id::bigint << 44;
    EXECUTE format('CREATE SEQUENCE awa.%I MINVALUE %s MAXVALUE %s CACHE 1',
                   'lane_' || v_lane.lane_id, v_first, v_first + (1::bigint << 44) - 1);
    v_lane.positions := format('awa.%I', 'lane_' || v_lane.lane_id)::regclass;
    INSERT INTO awa.lanes (lane_id, queue, priority, enqueue_shard, positions)
    VALUES (v_lane.lane_id, p_queue, p_priority, p_shard, v_lane.positions);
    v_lane.queue := p_queue;
    v_lane.priority := p_priority;
    v_lane.enqueue_shard := p_shard;
    RETURN v_lane;
END
$$;

-- The row of a queue's settings, made if there is none. Called by workers and operators, in
-- short transactions; producers do without.
CREATE OR REPLACE FUNCTION awa.open_queue(p_queue text)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_sequence text;
BEGIN
    IF p_queue IS NULL OR octet_length(p_queue) NOT BETWEEN 1 AND 200 THEN
        RAISE EXCEPTION 'queue: want 1 to 200 bytes, got %', coalesce(octet_length(p_queue), 0)
              USING ERRCODE = 'JQ001';
    END IF;
    IF EXISTS (SELECT 1 FROM awa.queues AS q WHERE q.queue = p_queue) THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(awa.lock_class('new lane'), hashtext(p_queue));
    IF EXISTS (SELECT 1 FROM awa.queues AS q WHERE q.queue = p_queue) THEN
        RETURN;
    END IF;
    v_sequence := 'hungry_' || nextval('awa.queue_ids');
    EXECUTE format('CREATE SEQUENCE awa.%I MINVALUE 0 START 0', v_sequence);
    INSERT INTO awa.queues (queue, hungry_until)
    VALUES (p_queue, format('awa.%I', v_sequence)::regclass);
END
$$;

-- A worker of each queue waits for work until p_until. Not transactional, so that producers see
-- it at once, whatever their snapshot, and it leaves no dead row behind.
CREATE OR REPLACE FUNCTION awa.mark_hungry(p_queues text[],
        p_until timestamptz DEFAULT clock_timestamp() + interval '5 s')
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
SET max_parallel_workers_per_gather = 0
AS $$
BEGIN
    PERFORM setval(q.hungry_until, awa.to_ms(p_until))
       FROM awa.queues AS q
      WHERE q.queue = ANY (p_queues)
        AND coalesce(pg_sequence_last_value(q.hungry_until), 0) < awa.to_ms(p_until) - 1000;
END
$$;

-- Wake the workers of a queue if one waits. Called by whatever makes a job runnable. The
-- notification leaves with the commit; a lost one costs one poll interval.
CREATE OR REPLACE FUNCTION awa.wake_queue(p_queue text)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM pg_notify(awa.queue_channel(p_queue), '')
       FROM awa.queues AS q
      WHERE q.queue = p_queue
        AND pg_sequence_last_value(q.hungry_until) > awa.to_ms(clock_timestamp());
END
$$;

-- Listen for work in the queues of a worker, and for cancellations.
CREATE OR REPLACE FUNCTION awa.listen(p_queues text[])
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
SET max_parallel_workers_per_gather = 0
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
