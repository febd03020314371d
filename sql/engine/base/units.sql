-- SPDX-License-Identifier: MIT
-- Units: milliseconds, narrow numbers, the width of a set of positions.

-- Milliseconds since 1970, the form in which sequences and clients keep times. (STABLE, because extract()
-- is: an IMMUTABLE function would not be inlined.)
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

-- A 64-bit number of a client as an int. A number that does not fit becomes the nearest int, so that
-- awa.job_problem() refuses it and names the field; a cast would not name it.
CREATE OR REPLACE FUNCTION awa.to_int(p_n bigint)
RETURNS int
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN greatest(least(p_n, 2147483647), -2147483648)::int;

-- How many positions a set holds.
CREATE OR REPLACE FUNCTION awa.width(p_positions int8multirange)
RETURNS bigint
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
BEGIN
    RETURN (SELECT coalesce(sum(upper(r) - lower(r)), 0)::bigint FROM unnest(p_positions) AS r);
END
$$;
