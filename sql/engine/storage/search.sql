-- SPDX-License-Identifier: MIT
-- How a claim searches a lane. docs/engine.md sections "Claim" and "Gaps" explain the protocol. A comment
-- names each of its rules where the code keeps it.

-- The visible entries in [p_from, p_to) that were not withdrawn, as runs, in order. A run is a slot and
-- positions in it; between them there are no entries of another slot. Returns the lowest p_max positions;
-- only those of p_within, unless that is NULL. The bounds stand at each table, here and below: otherwise
-- a merge join reads all that lies before them.
CREATE OR REPLACE FUNCTION awa.find_runs(p_from bigint, p_to bigint, p_max bigint,
        p_within int8multirange DEFAULT NULL)
RETURNS TABLE (ready_slot smallint, run int8multirange, n bigint, options boolean)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT r.ready_slot, range_agg(int8range(r.pos, r.pos + 1)), count(*), bool_or(r.options)
      FROM (SELECT e.ready_slot, e.pos, e.options,
                   row_number() OVER (ORDER BY e.pos)
                   - row_number() OVER (PARTITION BY e.ready_slot ORDER BY e.pos) AS turn
              FROM (SELECT e.ready_slot, e.pos, e.options IS NOT NULL AS options
                      FROM awa.ready_entries AS e
                     WHERE e.pos >= p_from AND e.pos < p_to
                       AND (p_within IS NULL OR e.pos <@ p_within)
                       AND NOT EXISTS (SELECT 1
                                         FROM awa.ready_tombstones AS t
                                        WHERE t.ready_slot = e.ready_slot AND t.pos = e.pos
                                          AND t.pos >= p_from AND t.pos < p_to)
                     ORDER BY e.pos
                     LIMIT p_max) AS e) AS r
     GROUP BY r.ready_slot, r.turn
     ORDER BY min(r.pos);
END
$$;

-- The positions in [p_from, p_to), and of p_within unless that is NULL, whose entries are all withdrawn:
-- nobody will ever claim them.
CREATE OR REPLACE FUNCTION awa.find_withdrawn(p_from bigint, p_to bigint,
        p_within int8multirange DEFAULT NULL)
RETURNS int8multirange
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN (SELECT coalesce(range_agg(int8range(t.pos, t.pos + 1)), '{}')
              FROM awa.ready_tombstones AS t
             WHERE t.pos >= p_from AND t.pos < p_to AND (p_within IS NULL OR t.pos <@ p_within)
               AND NOT EXISTS (
                   SELECT 1
                     FROM awa.ready_entries AS e
                    WHERE e.pos = t.pos AND e.pos >= p_from AND e.pos < p_to
                      AND NOT EXISTS (SELECT 1
                                        FROM awa.ready_tombstones AS o
                                       WHERE o.ready_slot = e.ready_slot AND o.pos = e.pos
                                         AND o.pos >= p_from AND o.pos < p_to)));
END
$$;

-- The entries of a lane that nobody has claimed or withdrawn, at most p_max, as runs: those in gaps that
-- have become visible, and those above the cursor.
CREATE OR REPLACE FUNCTION awa.waiting_runs(p_lane int, p_max int)
RETURNS TABLE (ready_slot smallint, run int8multirange)
LANGUAGE plpgsql
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $$
DECLARE
    v_unclaimed CONSTANT int8multirange := awa.unclaimed(p_lane);
    v_window int8range;
    v_found record;
    v_left bigint := p_max;
BEGIN
    FOR v_window IN SELECT w FROM awa.windows(v_unclaimed) AS w LOOP
        FOR v_found IN SELECT f.* FROM awa.find_runs(lower(v_window), upper(v_window), v_left,
                                                     v_unclaimed) AS f
        LOOP
            ready_slot := v_found.ready_slot;
            run := v_found.run;
            v_left := v_left - v_found.n;
            RETURN NEXT;
        END LOOP;
        EXIT WHEN v_left <= 0;
    END LOOP;
END
$$;

-- ---- A search ------------------------------------------------------------------------------

-- Add a run that was found to a search.
CREATE OR REPLACE FUNCTION awa.add_run(p_search awa.lane_search, p_slot smallint,
        p_run int8multirange, p_n bigint, p_options boolean)
RETURNS awa.lane_search
LANGUAGE plpgsql
AS $$
BEGIN
    p_search.slots := (p_search).slots || p_slot;
    p_search.runs := (p_search).runs || p_run;
    p_search.run_lengths := (p_search).run_lengths || p_n;
    p_search.n := (p_search).n + p_n;
    p_search.options := (p_search).options OR p_options;
    RETURN p_search;
END
$$;

-- n: how many of the entries at these positions, from the lowest on and at most p_max, have at most
-- p_max_bytes of arguments together, as they are stored. n is at least 1, and p_max if all of them fit.
-- bytes: how many bytes of arguments those entries have.
CREATE OR REPLACE FUNCTION awa.fitting(p_within int8multirange, p_max bigint, p_max_bytes bigint,
        OUT n bigint, OUT bytes bigint)
LANGUAGE plpgsql
AS $$
BEGIN
    SELECT CASE WHEN bool_and(f.bytes <= p_max_bytes) IS NOT FALSE THEN p_max
                ELSE greatest(1, count(*) FILTER (WHERE f.bytes <= p_max_bytes)) END,
           coalesce(max(f.bytes) FILTER (WHERE f.bytes <= p_max_bytes), min(f.bytes), 0)
      INTO n, bytes
      FROM (SELECT sum(e.bytes) OVER (ORDER BY e.pos) AS bytes
              FROM (SELECT e.pos, pg_column_size(e.args) AS bytes
                      FROM awa.windows(p_within) AS w
                     CROSS JOIN LATERAL (
                            SELECT e.pos, e.args
                              FROM awa.ready_entries AS e
                             WHERE e.pos >= lower(w) AND e.pos < upper(w) AND e.pos <@ p_within
                             ORDER BY e.pos
                             LIMIT p_max) AS e) AS e) AS f;
END
$$;

-- Look for late entries in the gaps of which there is news: at most p_max, with at most p_max_bytes. A
-- gap whose entry is found or withdrawn is no gap any more; neither is one that has no owner left.
CREATE OR REPLACE FUNCTION awa.search_gaps(p_search awa.lane_search, p_lane int, p_max bigint,
        p_max_bytes bigint)
RETURNS awa.lane_search
LANGUAGE plpgsql
AS $$
DECLARE
    v_result awa.lane_search := p_search;
    v_asked CONSTANT awa.gap_group[] := awa.ask_owners((p_search).gaps, p_lane); -- rule G3
    v_news CONSTANT int8multirange := awa.news((p_search).gaps, v_asked);
    v_max bigint;
    v_window int8range;
    v_found record;
    v_late int8multirange := '{}';
BEGIN
    SELECT least(p_max, f.n), f.bytes INTO v_max, v_result.bytes
      FROM awa.fitting(v_news, p_max, p_max_bytes) AS f;
    FOR v_window IN SELECT w FROM awa.windows(v_news) AS w LOOP
        FOR v_found IN SELECT f.* FROM awa.find_runs(lower(v_window), upper(v_window),
                                                     v_max - v_result.n, v_news) AS f
        LOOP
            v_result := awa.add_run(v_result, v_found.ready_slot, v_found.run, v_found.n,
                                    v_found.options);
            v_late := v_late + v_found.run;
        END LOOP;
        v_late := v_late + awa.find_withdrawn(lower(v_window), upper(v_window), v_news);
        IF v_result.n >= v_max THEN -- rule G3: cut by the limit, so the owners stay
            v_result.gaps := awa.without_gaps((p_search).gaps, v_late);
            RETURN v_result;
        END IF;
    END LOOP;
    v_result.gaps := awa.without_gaps(v_asked, v_late);
    v_result.searched := true;
    RETURN v_result;
END
$$;

-- Search a lane: late entries in its gaps first, then fresh entries above its cursor. Finds at most p_max
-- entries, with at most p_max_bytes of arguments as they are stored, but at least one entry.
-- While there are enough fresh entries, gaps are searched every 10 ms at most, and only if there is news
-- (awa.gaps_have_news).
CREATE OR REPLACE FUNCTION awa.search_lane(p_lane awa.lanes, p_head awa.claims, p_max int,
        p_max_bytes bigint, p_now timestamptz)
RETURNS awa.lane_search
LANGUAGE plpgsql
AS $$
DECLARE
    v_result awa.lane_search;
BEGIN
    v_result.slots := '{}';
    v_result.runs := '{}';
    v_result.run_lengths := '{}';
    v_result.n := 0;
    v_result.cursor := (p_head).cursor;
    v_result.gaps := (p_head).gaps;
    v_result.searched := false;
    v_result.bytes := 0;
    v_result.options := false;
    IF v_result.gaps IS NOT NULL
       AND (p_now - (p_head).gaps_searched_at BETWEEN '0 s' AND '10 ms') IS NOT TRUE
       AND awa.gaps_have_news(v_result.gaps) THEN
        v_result := awa.search_gaps(v_result, (p_head).lane_id, p_max, p_max_bytes);
    END IF;
    v_result := awa.search_fresh(v_result, awa.last_position(p_lane) + 1, p_max, p_max_bytes);
    IF v_result.n = 0 AND NOT v_result.searched AND awa.gaps_have_news(v_result.gaps) THEN
        v_result := awa.search_gaps(v_result, (p_head).lane_id, p_max, p_max_bytes);
    END IF;
    RETURN v_result;
END
$$;

-- Search fresh entries above the cursor. In the usual case they are one unbroken run in one slot: their
-- ends and their number say all. Where all entries were withdrawn, the search goes on in longer steps.
-- The search does not look beyond the positions that were handed out (p_end). A COPY could have put an
-- entry there: it would pull the cursor along, and entries that are inserted later would lie below the
-- cursor, in gaps that nobody owns.
CREATE OR REPLACE FUNCTION awa.search_fresh(p_search awa.lane_search, p_end bigint, p_max int,
        p_max_bytes bigint)
RETURNS awa.lane_search
LANGUAGE plpgsql
AS $$
DECLARE
    v_result awa.lane_search := p_search;
    v_window int8range;
    v_found record;
    v_run int8multirange;
    v_step bigint := CASE WHEN (p_search).bytes < p_max_bytes THEN p_max - (p_search).n END;
BEGIN
    WHILE v_step > 0 LOOP
        SELECT min(e.pos) AS low, max(e.pos) AS high, count(*) AS n,
               min(e.ready_slot) AS slot, max(e.ready_slot) AS last_slot, sum(e.bytes) AS bytes,
               count(e.options) > 0 AS options
          INTO v_found
          FROM (SELECT e.pos, e.ready_slot, pg_column_size(e.args) AS bytes, e.options
                  FROM awa.ready_entries AS e
                 WHERE e.pos > v_result.cursor AND e.pos < p_end
                 ORDER BY e.pos
                 LIMIT v_step) AS e;
        EXIT WHEN v_found.n = 0;
        IF v_found.bytes > p_max_bytes - v_result.bytes AND v_found.n + v_result.n > 1 THEN
            v_step := greatest(CASE WHEN v_result.n = 0 THEN 1 ELSE 0 END,
                               least(v_found.n / 2, v_found.n * (p_max_bytes - v_result.bytes)
                                                    / v_found.bytes));
            CONTINUE;
        END IF;
        v_window := int8range(v_result.cursor + 1, v_found.high + 1);
        IF v_found.n <= p_max - v_result.n AND v_found.high - v_found.low + 1 = v_found.n
           AND v_found.slot = v_found.last_slot
           AND NOT EXISTS (SELECT 1
                             FROM awa.ready_tombstones AS t
                            WHERE t.ready_slot = v_found.slot
                              AND t.pos >= v_found.low AND t.pos <= v_found.high) THEN
            v_run := int8multirange(int8range(v_found.low, v_found.high + 1));
            v_result := awa.add_run(v_result, v_found.slot, v_run, v_found.n, v_found.options);
            v_result.cursor := v_found.high;
            v_result.gaps := awa.with_gaps(v_result.gaps, int8multirange(v_window) - v_run);
        ELSE
            v_result := awa.take_runs(v_result, v_window, p_max);
        END IF;
        EXIT WHEN v_result.n > 0;
        v_step := least(10 * v_step, 10000);
    END LOOP;
    RETURN v_result;
END
$$;

-- Take what is in a window above the cursor, where it is not one unbroken run. Entries that are not taken
-- stay above the cursor; otherwise younger jobs would overtake them.
CREATE OR REPLACE FUNCTION awa.take_runs(p_search awa.lane_search, p_window int8range, p_max int)
RETURNS awa.lane_search
LANGUAGE plpgsql
AS $$
DECLARE
    v_result awa.lane_search := p_search;
    v_window int8range := p_window;
    v_found record;
    v_taken int8multirange := '{}';
BEGIN
    FOR v_found IN
        SELECT f.*
          FROM awa.find_runs(lower(p_window), upper(p_window), p_max - (p_search).n) AS f
    LOOP
        v_result := awa.add_run(v_result, v_found.ready_slot, v_found.run, v_found.n,
                                v_found.options);
        v_taken := v_taken + v_found.run;
    END LOOP;
    IF v_result.n >= p_max THEN
        v_window := int8range(lower(p_window), upper(v_taken));
    END IF;
    v_result.cursor := upper(v_window) - 1;
    v_result.gaps := awa.with_gaps(v_result.gaps, int8multirange(v_window) - v_taken
                                   - awa.find_withdrawn(lower(v_window), upper(v_window)));
    RETURN v_result;
END
$$;
