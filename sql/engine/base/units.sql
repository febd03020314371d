-- SPDX-License-Identifier: MIT
-- Units: milliseconds, narrow numbers; and sets of positions.

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

-- ---- Sets of positions ---------------------------------------------------------------------
--
-- A set can have a hundred thousand ranges. An operator with two multiranges then takes time in proportion
-- to them, for each row that it is applied to: never compare a large set with many rows by && or *. Read
-- the rows in windows of the set, and ask these functions, which search the set for each range of a row.

-- Windows: stretches of positions that are read in one go. A window has ranges that lie near each other,
-- and what lies between them. Hundreds of ranges of single positions become one window; ranges that lie
-- far apart have one each.
CREATE OR REPLACE FUNCTION awa.windows(p_set int8multirange)
RETURNS SETOF int8range
LANGUAGE sql IMMUTABLE
AS $$
    SELECT int8range(CASE WHEN NOT bool_or(lower_inf(s.r)) THEN min(lower(s.r)) END,
                     CASE WHEN NOT bool_or(upper_inf(s.r)) THEN max(upper(s.r)) END)
      FROM (SELECT n.r, count(*) FILTER (WHERE n.apart) OVER (ORDER BY lower(n.r) NULLS FIRST) AS n
              FROM (SELECT r, lower(r) - lag(upper(r)) OVER (ORDER BY lower(r) NULLS FIRST) > 100
                              AS apart
                      FROM unnest(p_set) AS r) AS n) AS s
     GROUP BY s.n
     ORDER BY s.n
$$;

-- Whether any of p_positions is in a set; whether all are. Mostly the bounds of a row decide.
CREATE OR REPLACE FUNCTION awa.touches(p_positions int8multirange, p_set int8multirange)
RETURNS boolean
LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
    IF NOT range_merge(p_positions) && p_set THEN
        RETURN false;
    END IF;
    RETURN (SELECT coalesce(bool_or(r && p_set), false) FROM unnest(p_positions) AS r);
END
$$;

CREATE OR REPLACE FUNCTION awa.is_within(p_positions int8multirange, p_set int8multirange)
RETURNS boolean
LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
    IF range_merge(p_positions) <@ p_set THEN
        RETURN true;
    END IF;
    RETURN (SELECT coalesce(bool_and(r <@ p_set), true) FROM unnest(p_positions) AS r);
END
$$;

-- Those of p_positions that are in a set.
CREATE OR REPLACE FUNCTION awa.cut_to(p_positions int8multirange, p_set int8multirange)
RETURNS int8multirange
LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
    RETURN CASE WHEN awa.is_within(p_positions, p_set) THEN p_positions
                WHEN NOT awa.touches(p_positions, p_set) THEN '{}'
                ELSE p_positions * p_set END;
END
$$;
