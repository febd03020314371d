-- SPDX-License-Identifier: MIT
-- Lanes, and the rows of queues: both are made on first use.

-- The shard of an ordering key. Equal keys have the same shard as long as the number of shards does not
-- change. A job without a key goes to a random shard.
CREATE OR REPLACE FUNCTION awa.shard_of(p_ordering_key text, p_shards int)
RETURNS smallint
LANGUAGE sql VOLATILE
RETURN CASE
    WHEN coalesce(p_shards, 1) = 1 THEN 0
    WHEN p_ordering_key IS NULL THEN floor(random() * p_shards)
    ELSE abs(hashtextextended(p_ordering_key, 0) % p_shards)
    END;

-- The sequence from which a lane draws its numbers. The schema has made a fixed number of sequences,
-- which the lanes share. So nothing is created at run time, a transaction may use any number of queues,
-- and a copy of the database has all sequences.
CREATE OR REPLACE FUNCTION awa.numbers(p_lane int)
RETURNS regclass
LANGUAGE sql STABLE STRICT
RETURN ('awa.numbers_' || p_lane % 128)::regclass;

-- The highest position of a lane that may have been handed out. It also rises while other lanes draw from
-- the same sequence.
CREATE OR REPLACE FUNCTION awa.last_position(p_lane awa.lanes)
RETURNS bigint
LANGUAGE sql VOLATILE
RETURN coalesce(pg_sequence_last_value(awa.numbers((p_lane).lane_id)), 0) + (p_lane).shift;

-- The lane in which producers of (queue, priority, shard) put their jobs; made on first use. Two first
-- users wait for each other at most 0.2 s. If the first one keeps its transaction open for longer, the
-- second one makes a lane of its own, and both lanes stay in use: nobody waits for a business
-- transaction. Lanes share the locks by which first users wait, so that a transaction may use any number
-- of new queues.
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
              AND i > 0; -- at first: look once more, another may have been faster
        PERFORM pg_sleep(0.01) WHERE i > 0;
    END LOOP;
    RETURN awa.new_lane(p_queue, p_priority, p_shard);
END
$$;

-- Make a lane. Its number is one that no lane has: a number that was never used, or that of a lane that
-- was rolled back or removed.
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
            -- Go past the used numbers to the next free one, or back to the beginning.
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

-- Draw p_n consecutive positions of a lane. Returns the first.
CREATE OR REPLACE FUNCTION awa.draw_positions(p_lane awa.lanes, p_n bigint)
RETURNS bigint
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN (p_lane).shift + CASE WHEN p_n = 1 THEN awa.draw_one(awa.numbers((p_lane).lane_id))
                            ELSE awa.draw_block(awa.numbers((p_lane).lane_id), p_n) END;
END
$$;

-- Make the row of a queue's settings if there is none. Workers and operators call this, in short
-- transactions. Producers do not need the row.
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
