-- SPDX-License-Identifier: MIT
-- Small things that every other engine file uses: the clock in milliseconds, limits of a job, sets
-- of positions.

-- Milliseconds since 1970, as sequences and clients keep them. (Not IMMUTABLE, for extract() is not,
-- and it would not be inlined.)
CREATE OR REPLACE FUNCTION awa.to_ms(p_at timestamptz)
RETURNS bigint
LANGUAGE sql STABLE STRICT PARALLEL SAFE
RETURN (extract(epoch FROM p_at) * 1000)::bigint;

CREATE OR REPLACE FUNCTION awa.interval_ms(p_interval interval)
RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (extract(epoch FROM p_interval) * 1000)::bigint;

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
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
BEGIN
    RETURN (SELECT coalesce(sum(upper(r) - lower(r)), 0)::bigint FROM unnest(p_positions) AS r);
END
$$;

-- The slot into which producers write now.
CREATE OR REPLACE FUNCTION awa.current_slot()
RETURNS smallint
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    RETURN (SELECT r.ready_slot FROM awa.ring_rotations AS r ORDER BY r.generation DESC LIMIT 1);
END
$$;

-- A JSON list of strings as an array; NULL for NULL and for the empty list.
CREATE OR REPLACE FUNCTION awa.json_tags(p_tags jsonb)
RETURNS text[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE WHEN jsonb_typeof(p_tags) = 'array'
            THEN (SELECT array_agg(t ORDER BY ord)
                    FROM jsonb_array_elements_text(p_tags) WITH ORDINALITY AS e (t, ord)) END;
