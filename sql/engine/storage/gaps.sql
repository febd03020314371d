-- SPDX-License-Identifier: MIT
-- Gaps: positions below a lane's cursor whose entries were not visible when the cursor passed.
-- docs/engine.md section "Gaps" has the rules. This file has what is known of gaps, and what is done with
-- gaps that are too many for the lane's head.

-- ---- Who may own a gap ---------------------------------------------------------------------

-- A transaction id in full. pg_locks shows only its lowest 32 bits: of all ids with these bits, it is the
-- one nearest to the present (p_next).
CREATE OR REPLACE FUNCTION awa.full_xid(p_xid xid, p_next bigint)
RETURNS xid8
LANGUAGE sql IMMUTABLE STRICT
RETURN ((p_next + ((p_xid::text::bigint - p_next) & 4294967295)
         - CASE WHEN ((p_xid::text::bigint - p_next) & 4294967295) > 2147483647
                THEN 4294967296 ELSE 0 END)::text)::xid8;

-- The transactions that may still own a gap of a lane.
-- Rule G2: a transaction that draws a position of a lane has an id by then (rule G1), and nextval() holds
-- a lock on the lane's sequence to the end of that transaction. So these transactions, and no others, may
-- still own a gap that was seen before this function reads. A transaction that ended before has
-- committed, and the next statement sees its entry, or it never will have one.
-- Transactions that drew for other lanes from the same sequence are among them; our own is not.
CREATE OR REPLACE FUNCTION awa.living_drawers(p_lane int)
RETURNS xid8[]
LANGUAGE plpgsql
AS $$
DECLARE
    v_sequence CONSTANT oid := awa.numbers(p_lane);
    v_database CONSTANT oid := (SELECT d.oid FROM pg_database AS d
                                 WHERE d.datname = current_database());
    v_next CONSTANT bigint := pg_snapshot_xmax(pg_current_snapshot())::text::bigint;
BEGIN
    RETURN ARRAY(
        SELECT min(awa.full_xid(k.transactionid, v_next)::text::bigint)::text::xid8 AS xid
          FROM pg_locks AS k
         WHERE k.granted AND k.pid IS DISTINCT FROM pg_backend_pid()
           AND ((k.locktype = 'relation' AND k.relation = v_sequence AND k.database = v_database
                 AND k.mode = 'RowExclusiveLock')
                OR k.locktype = 'transactionid')
         GROUP BY k.virtualtransaction
        HAVING bool_or(k.locktype = 'relation') AND bool_or(k.locktype = 'transactionid')
         ORDER BY xid);
END
$$;

-- Those of p_owners that have not ended.
CREATE OR REPLACE FUNCTION awa.still_open(p_owners xid8[])
RETURNS xid8[]
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN ARRAY(SELECT o FROM unnest(p_owners) AS o
                  WHERE NOT pg_visible_in_snapshot(o, pg_current_snapshot())
                  ORDER BY o);
END
$$;

-- Whether a search of these gaps could find or forget one: the owners of a group are not known, or one of
-- its owners has ended. As long as all owners are open, however long, nothing is searched.
CREATE OR REPLACE FUNCTION awa.gaps_have_news(p_gaps awa.gap_group[])
RETURNS boolean
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN p_gaps IS NOT NULL
           AND EXISTS (SELECT 1 FROM unnest(p_gaps) AS g
                        WHERE g.owners IS NULL OR awa.still_open(g.owners) <> g.owners);
END
$$;

-- The gaps of those groups whose owners are not known, or of which an owner has ended.
CREATE OR REPLACE FUNCTION awa.fresh_gaps(p_gaps awa.gap_group[])
RETURNS int8multirange
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN (SELECT coalesce(range_agg(g.gaps), '{}')
              FROM unnest(p_gaps) AS g
             WHERE g.owners IS NULL OR awa.still_open(g.owners) <> g.owners);
END
$$;

-- The same groups with the owners that they have now. Rule G3: this is called before the search, so that
-- the snapshot of the search is younger than the end of every owner that is gone.
CREATE OR REPLACE FUNCTION awa.ask_owners(p_gaps awa.gap_group[], p_lane int)
RETURNS awa.gap_group[]
LANGUAGE plpgsql
AS $$
DECLARE
    v_drawers xid8[];
    v_gaps awa.gap_group[] := p_gaps;
BEGIN
    FOR i IN 1 .. coalesce(cardinality(p_gaps), 0) LOOP
        IF (p_gaps[i]).owners IS NULL THEN
            v_drawers := coalesce(v_drawers, awa.living_drawers(p_lane));
            v_gaps[i] := ROW((p_gaps[i]).gaps, v_drawers)::awa.gap_group;
        ELSE
            v_gaps[i] := ROW((p_gaps[i]).gaps, awa.still_open((p_gaps[i]).owners))::awa.gap_group;
        END IF;
    END LOOP;
    RETURN v_gaps;
END
$$;

-- The gaps of those groups whose owners changed between p_before and p_now.
CREATE OR REPLACE FUNCTION awa.news(p_before awa.gap_group[], p_now awa.gap_group[])
RETURNS int8multirange
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN (SELECT coalesce(range_agg((p_before[i]).gaps), '{}')
              FROM generate_subscripts(p_before, 1) AS i
             WHERE (p_before[i]).owners IS DISTINCT FROM (p_now[i]).owners);
END
$$;

-- ---- Groups of gaps ------------------------------------------------------------------------

CREATE OR REPLACE FUNCTION awa.all_gaps(p_gaps awa.gap_group[])
RETURNS int8multirange
LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
    IF p_gaps IS NULL THEN
        RETURN '{}';
    END IF;
    RETURN (SELECT coalesce(range_agg(g.gaps), '{}') FROM unnest(p_gaps) AS g);
END
$$;

-- Groups in their shortest form: one for each set of owners, none that is empty, none whose owners have
-- all ended. NULL means that there is no gap.
CREATE OR REPLACE FUNCTION awa.tidy_gaps(p_gaps awa.gap_group[])
RETURNS awa.gap_group[]
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN (SELECT array_agg(ROW(t.gaps, t.owners)::awa.gap_group ORDER BY lower(t.gaps))
              FROM (SELECT range_agg(g.gaps) AS gaps, g.owners
                      FROM unnest(p_gaps) AS g
                     WHERE NOT isempty(g.gaps) AND g.owners IS DISTINCT FROM '{}'
                     GROUP BY g.owners) AS t);
END
$$;

-- The groups of p_gaps with more gaps, whose owners are not known yet.
CREATE OR REPLACE FUNCTION awa.with_gaps(p_gaps awa.gap_group[], p_more int8multirange)
RETURNS awa.gap_group[]
LANGUAGE plpgsql
AS $$
BEGIN
    IF isempty(p_more) THEN
        RETURN p_gaps;
    END IF;
    RETURN awa.tidy_gaps(p_gaps || ROW(p_more, NULL)::awa.gap_group);
END
$$;

CREATE OR REPLACE FUNCTION awa.without_gaps(p_gaps awa.gap_group[], p_less int8multirange)
RETURNS awa.gap_group[]
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN awa.tidy_gaps(ARRAY(SELECT ROW(g.gaps - p_less, g.owners)::awa.gap_group
                                 FROM unnest(p_gaps) AS g));
END
$$;

-- ---- Gaps beside the head ------------------------------------------------------------------

-- How many gaps there are, whatever their width.
CREATE OR REPLACE FUNCTION awa.count_gaps(p_gaps int8multirange)
RETURNS bigint
LANGUAGE plpgsql IMMUTABLE STRICT
AS $$
BEGIN
    RETURN (SELECT count(*) FROM unnest(p_gaps));
END
$$;

-- About how many gaps a head carries at most; awa.bound_gaps() goes by their size.
CREATE OR REPLACE FUNCTION awa.max_head_gaps()
RETURNS int
LANGUAGE sql IMMUTABLE
RETURN 128;

-- Rule G6: the gaps that a head may carry. Beside a long transaction, rollbacks pile up gaps that the
-- long transaction might own. Every claim writes the head, so gaps beyond a certain size move to
-- awa.lane_gaps, exactly as they are. Gaps whose owners are not known stay in the head if that is enough:
-- they are searched soon.
CREATE OR REPLACE FUNCTION awa.bound_gaps(p_gaps awa.gap_group[], p_lane int)
RETURNS awa.gap_group[]
LANGUAGE plpgsql
AS $$
DECLARE
    v_left awa.gap_group[];
BEGIN
    IF p_gaps IS NULL OR pg_column_size(p_gaps) <= 20 * awa.max_head_gaps() THEN
        RETURN p_gaps;
    END IF;
    v_left := ARRAY(SELECT g FROM unnest(p_gaps) AS g WHERE g.owners IS NULL);
    IF pg_column_size(v_left) > 20 * awa.max_head_gaps() THEN
        v_left := '{}';
    END IF;
    INSERT INTO awa.lane_gaps (lane_id, gaps, owners)
    SELECT p_lane, g.gaps, g.owners
      FROM unnest(p_gaps) AS g
     WHERE g.owners IS NOT NULL OR cardinality(v_left) = 0;
    RETURN awa.tidy_gaps(v_left);
END
$$;

-- The sets of owners in awa.lane_gaps whose gaps are to be looked at: the owners are not known, one of
-- them has ended, or there are more than 100 rows with the same owners.
CREATE OR REPLACE FUNCTION awa.news_aside()
RETURNS TABLE (lane_id int, owners xid8[])
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
        SELECT g.lane_id, g.owners
          FROM (SELECT g.lane_id, g.owners, count(*) AS n
                  FROM awa.lane_gaps AS g GROUP BY g.lane_id, g.owners) AS g
         WHERE g.owners IS NULL OR awa.still_open(g.owners) <> g.owners OR g.n > 100;
END
$$;
