-- SPDX-License-Identifier: MIT
-- Small things that every other engine file uses: the clock in milliseconds, the settings of a
-- queue with its defaults, limits, refusals.

-- Milliseconds since 1970, as sequences and clients keep them.
CREATE OR REPLACE FUNCTION awa.to_ms(p_at timestamptz)
RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (extract(epoch FROM p_at) * 1000)::bigint;

CREATE OR REPLACE FUNCTION awa.from_ms(p_ms bigint)
RETURNS timestamptz
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE WHEN p_ms BETWEEN -62135596800000 AND 253402300800000 THEN to_timestamp(p_ms / 1000.0)
            WHEN p_ms > 0 THEN 'infinity' ELSE '-infinity' END;

-- Numbers of clients, which are 64 bits wide, as narrower ones. What does not fit becomes the
-- extreme, so that it is refused by awa.job_problem() with its name and not by a cast.
CREATE OR REPLACE FUNCTION awa.to_int(p_n bigint)
RETURNS int
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN greatest(least(p_n, 2147483647), -2147483648)::int;

CREATE OR REPLACE FUNCTION awa.ms_interval(p_ms bigint)
RETURNS interval
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN greatest(least(p_ms, 1000000000000000), -1000000000000000) * interval '1 ms';

-- Advisory locks of this schema, two numbers each: a class of ours, and what is locked.
-- Order in which one transaction may wait for them: worker, maintenance, history, lane.
CREATE OR REPLACE FUNCTION awa.lock_class(p_what text)
RETURNS int
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE p_what
       WHEN 'lane' THEN 1635213569        -- 'awa' and a number, as bytes
       WHEN 'new lane' THEN 1635213570
       WHEN 'maintenance' THEN 1635213571
       WHEN 'draw' THEN 1635213572
       WHEN 'history' THEN 1635213573
       END;

-- The channel on which workers of a queue are woken. Names of channels end at 63 bytes.
CREATE OR REPLACE FUNCTION awa.queue_channel(p_queue text)
RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN 'awa:' || CASE WHEN octet_length(p_queue) <= 59 THEN p_queue ELSE md5(p_queue) END;

-- What is wrong with a job, in words; NULL if nothing is. The limits stand here and nowhere else.
-- Not more than STABLE, or it would be called for each row instead of inlined: format() is STABLE.
CREATE OR REPLACE FUNCTION awa.job_problem(p_kind text, p_queue text, p_args jsonb,
        p_priority int, p_max_attempts int, p_run_at timestamptz, p_delay interval, p_tags jsonb,
        p_metadata jsonb, p_unique_key text)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE
    WHEN p_kind IS NULL THEN 'kind: missing'
    WHEN octet_length(p_kind) NOT BETWEEN 1 AND 200
        THEN format('kind: want 1 to 200 bytes, got %s', octet_length(p_kind))
    WHEN octet_length(p_queue) NOT BETWEEN 1 AND 200
        THEN format('queue: want 1 to 200 bytes, got %s', octet_length(p_queue))
    WHEN p_priority NOT BETWEEN 1 AND 4
        THEN format('priority: want 1 to 4, got %s', p_priority)
    WHEN p_max_attempts NOT BETWEEN 1 AND 1000
        THEN format('max_attempts: want 1 to 1000, got %s', p_max_attempts)
    WHEN p_run_at IS NOT NULL AND p_delay IS NOT NULL
        THEN 'run_at: excludes delay'
    WHEN p_run_at >= '10000-01-01 00:00:00+00'
        THEN format('run_at: want a time before the year 10000, got %s', p_run_at)
    WHEN p_delay NOT BETWEEN '-1000 years' AND '1000 years'
        THEN format('delay: want at most 1000 years, got %s', p_delay)
    WHEN pg_column_size(p_args) > 512 AND octet_length(p_args::text) > 1048576
        THEN format('args: want at most 1048576 bytes, got %s', octet_length(p_args::text))
    WHEN jsonb_typeof(p_tags) <> 'array' OR p_tags @? 'strict $[*] ? (@.type() != "string")'
        THEN 'tags: want a list of strings'
    WHEN jsonb_array_length(p_tags) > 20
        THEN format('tags: want at most 20, got %s', jsonb_array_length(p_tags))
    WHEN octet_length(p_tags::text) > 8192
        THEN format('tags: want at most 8192 bytes, got %s', octet_length(p_tags::text))
    WHEN jsonb_typeof(p_metadata) <> 'object'
        THEN format('metadata: want an object, got %s', jsonb_typeof(p_metadata))
    WHEN octet_length(p_metadata::text) > 65536
        THEN format('metadata: want at most 65536 bytes, got %s', octet_length(p_metadata::text))
    WHEN octet_length(p_unique_key) NOT BETWEEN 1 AND 200
        THEN format('unique_key: want 1 to 200 bytes, got %s', octet_length(p_unique_key))
    END;

-- How many numbers a set of positions holds.
CREATE OR REPLACE FUNCTION awa.width(p_positions int8multirange)
RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (SELECT coalesce(sum(upper(r) - lower(r)), 0)::bigint FROM unnest(p_positions) AS r);

-- The slot into which producers write now.
CREATE OR REPLACE FUNCTION awa.current_slot()
RETURNS smallint
LANGUAGE sql STABLE
RETURN (SELECT r.ready_slot FROM awa.ring_rotations AS r ORDER BY r.generation DESC LIMIT 1);

-- What is decided under a lock must be read after it was obtained; an older snapshot would tell of
-- a past in which, say, a running job still waits.
CREATE OR REPLACE FUNCTION awa.require_read_committed(p_what text)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION '%: want isolation read committed, got %', p_what,
              current_setting('transaction_isolation') USING ERRCODE = 'JQ001';
    END IF;
END
$$;

-- The current transaction's commit must be durable: it says something to the outside that must
-- not be forgotten by a crash.
CREATE OR REPLACE FUNCTION awa.require_durable()
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
END
$$;

-- A JSON list of strings as an array; NULL for NULL and for the empty list.
CREATE OR REPLACE FUNCTION awa.json_tags(p_tags jsonb)
RETURNS text[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE WHEN jsonb_typeof(p_tags) = 'array'
            THEN (SELECT array_agg(t ORDER BY ord)
                    FROM jsonb_array_elements_text(p_tags) WITH ORDINALITY AS e (t, ord)) END;

-- Draw numbers from a sequence: one, or p_n consecutive ones, of which the first is returned. p_key
-- is the lane whose positions they are, 0 for ids. nextval() alone costs half a microsecond a
-- number and lets producers interleave; setval() moves it on by a whole block, but only if nobody
-- draws in between. So a block is drawn under an exclusive advisory lock and a single number
-- under a shared one, both held for microseconds and not to the end of the transaction:
-- - the block takes its lock inside a subtransaction that it then rolls back, which releases the
--   lock, whatever happens, and leaves the sequence as it is: sequences are not transactional;
-- - the single number takes a session lock and gives it back within one expression, where no
--   interrupt is served: what could make it wait in between, a lock on the sequence, it has taken
--   before, by looking at the last value.
-- Rule G1, kept here for everybody: a producer has its transaction id before it draws a position.
-- Otherwise it could draw position 100, be overtaken, and only then get an id younger than the one
-- that the claimer wrote down: its gap would be forgotten too early and the job lost.
CREATE OR REPLACE FUNCTION awa.draw_block(p_sequence regclass, p_key int, p_n bigint)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_first bigint;
BEGIN
    PERFORM pg_current_xact_id(); -- rule G1; the transaction's, not the subtransaction's
    BEGIN
        PERFORM pg_advisory_xact_lock(awa.lock_class('draw'), p_key);
        v_first := nextval(p_sequence);
        PERFORM setval(p_sequence, v_first + p_n - 1);
        RAISE EXCEPTION USING ERRCODE = 'JQ900';
    EXCEPTION WHEN SQLSTATE 'JQ900' THEN
        RETURN v_first;
    END;
END
$$;

CREATE OR REPLACE FUNCTION awa.draw_one(p_sequence regclass, p_key int)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_drawn record;
BEGIN
    PERFORM pg_current_xact_id(); -- rule G1
    SELECT pg_sequence_last_value(p_sequence),
           pg_advisory_lock_shared(awa.lock_class('draw'), p_key), nextval(p_sequence) AS number,
           pg_advisory_unlock_shared(awa.lock_class('draw'), p_key) INTO v_drawn;
    RETURN v_drawn.number;
END
$$;
