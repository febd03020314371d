-- SPDX-License-Identifier: MIT
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

-- The sequence from which a lane draws its numbers. The lanes share a fixed number of them, made by
-- the schema: so nothing is created at run time, a transaction may use any number of queues, and a
-- copy of the database has them all.
CREATE OR REPLACE FUNCTION awa.numbers(p_lane int)
RETURNS regclass
LANGUAGE sql STABLE STRICT
RETURN ('awa.numbers_' || p_lane % 128)::regclass;

-- The highest position of a lane that may have been handed out. While other lanes draw from its
-- sequence, it rises as well.
CREATE OR REPLACE FUNCTION awa.last_position(p_lane awa.lanes)
RETURNS bigint
LANGUAGE sql VOLATILE
RETURN coalesce(pg_sequence_last_value(awa.numbers((p_lane).lane_id)), 0) + (p_lane).shift;

-- The lane in which producers of (queue, priority, shard) put their jobs; made on first use.
-- Two first users wait for each other, but briefly: if the first one keeps its transaction open,
-- the second makes a lane of its own, and both live on. Nobody waits for a business transaction. Lanes
-- share the locks by which they wait, so that a transaction may use any number of new queues.
CREATE OR REPLACE FUNCTION awa.open_lane(p_queue text, p_priority int, p_shard int)
RETURNS awa.lanes
LANGUAGE plpgsql
AS $$
DECLARE
    v_lane awa.lanes;
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
                hashtext(format('%s %s %s', p_priority, p_shard, p_queue)) & 1023)
              AND i > 0; -- got it: look once more, another may have been faster
        PERFORM pg_sleep(0.01) WHERE i > 0;
    END LOOP;
    RETURN awa.new_lane(p_queue, p_priority, p_shard);
END
$$;

-- A new lane, under a number that no other has: one that was never used, that of a lane which was
-- rolled back, or that of one which was removed.
CREATE OR REPLACE FUNCTION awa.new_lane(p_queue text, p_priority int, p_shard int)
RETURNS awa.lanes
LANGUAGE plpgsql
AS $$
DECLARE
    v_lane awa.lanes;
BEGIN
    v_lane.queue := p_queue;
    v_lane.priority := p_priority;
    v_lane.enqueue_shard := p_shard;
    v_lane.sealed := false;
    FOR i IN 1 .. 100 LOOP
        v_lane.lane_id := nextval('awa.lane_ids');
        IF EXISTS (SELECT 1 FROM awa.lanes AS l WHERE l.lane_id = v_lane.lane_id) THEN
            -- Over the used ones, to the next hole, or to the beginning.
            PERFORM setval('awa.lane_ids', coalesce((
                    SELECT l.lane_id
                      FROM awa.lanes AS l
                     WHERE l.lane_id >= v_lane.lane_id
                       AND NOT EXISTS (SELECT 1 FROM awa.lanes AS n
                                        WHERE n.lane_id = l.lane_id + 1)
                     ORDER BY l.lane_id
                     LIMIT 1), 524286));
            CONTINUE;
        END IF;
        v_lane.shift := (v_lane.lane_id::bigint << 44)
                        - coalesce(pg_sequence_last_value(awa.numbers(v_lane.lane_id)), 0) - 1;
        INSERT INTO awa.lanes (lane_id, queue, priority, enqueue_shard, sealed, shift)
        VALUES (v_lane.lane_id, v_lane.queue, v_lane.priority, v_lane.enqueue_shard, false,
                v_lane.shift)
            ON CONFLICT DO NOTHING;
        IF FOUND THEN
            RETURN v_lane;
        END IF;
    END LOOP;
    RAISE EXCEPTION 'queue: no lane is free for %; want at most 524286, one for each queue,'
                    ' priority and shard', p_queue
          USING ERRCODE = 'JQ001', HINT = 'Remove queues that nobody needs any more.';
END
$$;

-- Draw p_n consecutive positions of a lane; returns the first.
CREATE OR REPLACE FUNCTION awa.draw_positions(p_lane awa.lanes, p_n bigint)
RETURNS bigint
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN (p_lane).shift + CASE WHEN p_n = 1 THEN awa.draw_one(awa.numbers((p_lane).lane_id))
                            ELSE awa.draw_block(awa.numbers((p_lane).lane_id), p_n) END;
END
$$;

-- The row of a queue's settings, made if there is none. Called by workers and operators, in
-- short transactions; producers do without.
CREATE OR REPLACE FUNCTION awa.open_queue(p_queue text)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    IF p_queue IS NULL OR octet_length(p_queue) NOT BETWEEN 1 AND 200 THEN
        RAISE EXCEPTION 'queue: want 1 to 200 bytes, got %', coalesce(octet_length(p_queue), 0)
              USING ERRCODE = 'JQ001';
    END IF;
    IF NOT EXISTS (SELECT 1 FROM awa.queues AS q WHERE q.queue = p_queue) THEN
        INSERT INTO awa.queues (queue) VALUES (p_queue) ON CONFLICT DO NOTHING;
    END IF;
END
$$;
