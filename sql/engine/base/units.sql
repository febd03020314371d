-- SPDX-License-Identifier: MIT
-- Units: milliseconds, narrow numbers, the width of a set of positions.

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

CREATE OR REPLACE FUNCTION awa.ms_interval(p_ms bigint)
RETURNS interval
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN greatest(least(p_ms, 1000000000000000), -1000000000000000) * interval '1 ms';

-- Numbers of clients, which are 64 bits wide, as narrower ones. What does not fit becomes the
-- extreme, so that it is refused by awa.job_problem() with its name and not by a cast.
CREATE OR REPLACE FUNCTION awa.to_int(p_n bigint)
RETURNS int
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN greatest(least(p_n, 2147483647), -2147483648)::int;

-- How many numbers a set of positions holds.
CREATE OR REPLACE FUNCTION awa.width(p_positions int8multirange)
RETURNS bigint
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
BEGIN
    RETURN (SELECT coalesce(sum(upper(r) - lower(r)), 0)::bigint FROM unnest(p_positions) AS r);
END
$$;
