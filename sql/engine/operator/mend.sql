-- SPDX-License-Identifier: MIT
-- Some things do not travel with the tables when a database is dumped and restored, copied, or replicated
-- logically: sequences, heads of lanes, transaction ids, and which database it is. The functions here
-- compare them with the tables. `awa migrate` calls them as awa_owner; they are granted to nobody. Each
-- of the mend functions returns one row for each difference, and mends it unless p_check.

-- The database that we are in. Its OID alone is not enough: a database of another cluster may have the
-- same.
CREATE OR REPLACE FUNCTION awa.this_origin(OUT system_identifier bigint, OUT database oid)
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    IF has_function_privilege('pg_control_system()', 'EXECUTE') THEN -- the right may have been revoked
        system_identifier := (SELECT c.system_identifier FROM pg_control_system() AS c);
    END IF;
    database := (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database());
END
$$;

-- Whether this is another database than the one that was mended last, or none was mended yet. It is
-- another one after a restore or a logical copy. A copy of the files (pg_basebackup, a snapshot of the
-- disk) is the same database, and needs no mending.
CREATE OR REPLACE FUNCTION awa.is_moved()
RETURNS boolean
LANGUAGE sql STABLE
RETURN NOT EXISTS (SELECT 1
                     FROM awa.origin AS o, awa.this_origin() AS t
                    WHERE (o.system_identifier, o.database)
                          IS NOT DISTINCT FROM (t.system_identifier, t.database));

-- ---- Sequences -----------------------------------------------------------------------------

-- Each sequence whose numbers are stored, and the highest of its numbers in any table. Reads the ring.
-- Numbers of lanes are used again, so their sequence may be anywhere; but a copy that has many lanes must
-- not begin at their first number.
CREATE OR REPLACE FUNCTION awa.drawn_numbers()
RETURNS TABLE (sequence regclass, highest bigint)
LANGUAGE plpgsql
SET enable_seqscan = on
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
        SELECT 'awa.job_ids'::regclass,
               greatest((SELECT max(e.id) FROM awa.ready_entries AS e),
                        (SELECT max(d.id) FROM awa.done_entries AS d),
                        (SELECT max(d.id) FROM awa.deferred_jobs AS d),
                        (SELECT max(d.id) FROM awa.dlq_entries AS d),
                        (SELECT max(u.job_id) FROM awa.undecided_jobs AS u),
                        (SELECT max(u.id) FROM awa.unique_keys AS u))
        UNION ALL
        SELECT 'awa.claim_ids'::regclass,
               greatest((SELECT max(c.claim_id) FROM awa.claims AS c),
                        (SELECT max(d.run_lease) FROM awa.dlq_entries AS d))
        UNION ALL
        SELECT 'awa.worker_numbers'::regclass,
               greatest((SELECT max(w.worker_id) FROM awa.workers AS w),
                        (SELECT max(c.worker_id) FROM awa.claims AS c))
        UNION ALL
        SELECT 'awa.served_ms'::regclass,
               greatest((SELECT max(w.seen_ms) FROM awa.workers AS w),
                        (SELECT max(b.seen_ms) FROM awa.worker_beats AS b))
        UNION ALL
        SELECT 'awa.lane_ids'::regclass, max(l.lane_id)::bigint
          FROM awa.lanes AS l WHERE awa.is_moved();
    RETURN QUERY
        SELECT awa.numbers(l.lane_id),
               max(greatest(e.pos, t.pos, d.pos, c.pos, k.pos, g.pos) - l.shift)
          FROM awa.lanes AS l
         CROSS JOIN LATERAL (
                SELECT l.lane_id::bigint << 44 AS low, (l.lane_id + 1)::bigint << 44 AS high) AS b
         CROSS JOIN LATERAL (SELECT max(e.pos) AS pos FROM awa.ready_entries AS e
                              WHERE e.pos >= b.low AND e.pos < b.high) AS e
         CROSS JOIN LATERAL (SELECT max(t.pos) AS pos FROM awa.ready_tombstones AS t
                              WHERE t.pos >= b.low AND t.pos < b.high) AS t
         CROSS JOIN LATERAL (SELECT max(d.pos) AS pos FROM awa.done_entries AS d
                              WHERE d.pos >= b.low AND d.pos < b.high) AS d
          LEFT JOIN (SELECT c.lane_id, greatest(max(c.cursor), max(upper(c.positions)) - 1) AS pos
                       FROM awa.claims AS c GROUP BY c.lane_id) AS c ON c.lane_id = l.lane_id
          LEFT JOIN (SELECT k.lane_id, max(upper(k.positions)) - 1 AS pos
                       FROM awa.closures AS k GROUP BY k.lane_id) AS k ON k.lane_id = l.lane_id
          LEFT JOIN (SELECT g.lane_id, max(upper(g.gaps)) - 1 AS pos
                       FROM awa.lane_gaps AS g GROUP BY g.lane_id) AS g ON g.lane_id = l.lane_id
         GROUP BY awa.numbers(l.lane_id);
END
$$;

-- Move on the sequences that would hand out numbers that are in use. A number in a table was drawn before
-- the snapshot, so the sequences are read after it: in one statement.
CREATE OR REPLACE FUNCTION awa.mend_sequences(p_check boolean)
RETURNS TABLE (what text, detail text)
LANGUAGE plpgsql
AS $$
DECLARE
    v_late record;
BEGIN
    FOR v_late IN
        SELECT d.sequence, d.highest, pg_sequence_last_value(d.sequence) AS last
          FROM awa.drawn_numbers() AS d
         WHERE d.highest > coalesce(pg_sequence_last_value(d.sequence), 0)
         ORDER BY d.sequence::text
    LOOP
        IF NOT p_check THEN
            PERFORM awa.raise_sequence(v_late.sequence, v_late.highest);
        END IF;
        what := format('sequence %s', v_late.sequence);
        detail := format('at %s, while %s is in use', coalesce(v_late.last, 0), v_late.highest);
        RETURN NEXT;
    END LOOP;
END
$$;

-- Move a sequence on, never back, as if a block were drawn from it; see awa.draw_block().
CREATE OR REPLACE FUNCTION awa.raise_sequence(p_sequence regclass, p_to bigint)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM awa.draw_block(p_sequence, greatest(1, p_to - coalesce(
            pg_sequence_last_value(p_sequence),
            (SELECT s.seqmin - 1 FROM pg_sequence AS s WHERE s.seqrelid = p_sequence))));
END
$$;

-- ---- Heads of lanes ------------------------------------------------------------------------

-- Positions that are claimed or closed, and that the next claim of their lane would hand out again,
-- because the head has them above its cursor or in its gaps. That happens when a head did not come along,
-- or when claims were written under numbers below that of an older head. (A waiting job that was
-- cancelled, and then taken back out of history, has a closure removed but no claim. It is withdrawn, and
-- is left out here.)
-- This is one statement, because a gap can move between a head and awa.lane_gaps.
CREATE OR REPLACE FUNCTION awa.forgotten_claims()
RETURNS TABLE (lane_id int, positions int8multirange)
LANGUAGE plpgsql
SET enable_seqscan = on
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
        SELECT f.*
          FROM (SELECT l.lane_id,
                       t.positions * (int8multirange(int8range(
                               coalesce(h.cursor + 1, l.lane_id::bigint << 44),
                               (l.lane_id + 1)::bigint << 44))
                           + coalesce(h.gaps, '{}') + coalesce(g.gaps, '{}')) AS positions
                  FROM awa.lanes AS l
                  JOIN (SELECT c.lane_id, range_agg(c.positions) AS positions
                          FROM (SELECT c.lane_id, c.positions FROM awa.claims AS c
                                UNION ALL
                                SELECT k.lane_id, k.positions
                                  FROM awa.closures AS k WHERE k.outcome <> 'removed') AS c
                         GROUP BY c.lane_id) AS t ON t.lane_id = l.lane_id
                  LEFT JOIN LATERAL (SELECT c.cursor, awa.all_gaps(c.gaps) AS gaps
                                       FROM awa.claims AS c
                                      WHERE c.lane_id = l.lane_id
                                      ORDER BY c.claim_id DESC
                                      LIMIT 1) AS h ON true
                  LEFT JOIN (SELECT g.lane_id, range_agg(g.gaps) AS gaps
                               FROM awa.lane_gaps AS g GROUP BY g.lane_id) AS g
                    ON g.lane_id = l.lane_id) AS f
         WHERE NOT isempty(f.positions)
         ORDER BY f.lane_id;
END
$$;

CREATE OR REPLACE FUNCTION awa.mend_heads(p_check boolean)
RETURNS TABLE (what text, detail text)
LANGUAGE plpgsql
AS $$
DECLARE
    v_lane record;
BEGIN
    IF NOT p_check THEN
        -- From here on no claim moves a head: what is read below is what is mended.
        PERFORM awa.take_lane(f.lane_id) FROM awa.forgotten_claims() AS f;
    END IF;
    FOR v_lane IN
        SELECT f.*, l.queue
          FROM awa.forgotten_claims() AS f
          JOIN awa.lanes AS l ON l.lane_id = f.lane_id
         ORDER BY f.lane_id
    LOOP
        IF NOT p_check THEN
            PERFORM awa.restate_head(v_lane.lane_id, v_lane.positions);
        END IF;
        what := format('lane %s of queue %s', v_lane.lane_id, v_lane.queue);
        detail := format('%s jobs that were claimed would be claimed again',
                         awa.width(v_lane.positions));
        RETURN NEXT;
    END LOOP;
END
$$;

-- Write the head of a lane once more. The caller holds the lane's lock. p_taken counts as taken, and all
-- gaps of the lane count as just seen: the next claim asks who may own them. That is right whatever was
-- known of their owners.
CREATE OR REPLACE FUNCTION awa.restate_head(p_lane int, p_taken int8multirange)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_head awa.claims := awa.lane_head(p_lane);
    v_cursor bigint := greatest(v_head.cursor, upper(p_taken) - 1);
    v_aside int8multirange;
BEGIN
    WITH aside AS (DELETE FROM awa.lane_gaps AS g WHERE g.lane_id = p_lane RETURNING g.gaps)
    SELECT coalesce(range_agg(a.gaps), '{}') INTO v_aside FROM aside AS a;
    v_head.gaps := awa.with_gaps(NULL, awa.all_gaps(v_head.gaps) + v_aside
                   + int8multirange(int8range(v_head.cursor + 1, v_cursor + 1)) - p_taken);
    v_head.cursor := v_cursor;
    v_head.claimed_at := clock_timestamp();
    v_head.gaps_searched_at := NULL;
    PERFORM awa.write_head(v_head, nextval('awa.claim_ids'));
END
$$;

-- ---- Transaction ids -----------------------------------------------------------------------

-- Lanes with gaps whose owners are stored, and these owners.
CREATE OR REPLACE FUNCTION awa.stored_owners()
RETURNS TABLE (lane_id int, xid xid8)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
        SELECT l.lane_id, x
          FROM awa.lanes AS l
         CROSS JOIN LATERAL (SELECT c.gaps
                               FROM awa.claims AS c
                              WHERE c.lane_id = l.lane_id
                              ORDER BY c.claim_id DESC
                              LIMIT 1) AS h,
               unnest(h.gaps) AS g, unnest(g.owners) AS x
        UNION
        SELECT g.lane_id, x FROM awa.lane_gaps AS g, unnest(g.owners) AS x;
END
$$;

-- Whether there are transaction ids of another cluster: this is another cluster than the one that was
-- mended last, or a stored id has not been assigned here yet. To compare such ids with ids of this
-- cluster would be wrong: gaps would not be forgotten, and changes of the counts would pass for folded.
CREATE OR REPLACE FUNCTION awa.has_foreign_ids()
RETURNS boolean
LANGUAGE plpgsql
SET enable_seqscan = on
AS $$
DECLARE
    v_next xid8;
BEGIN
    IF EXISTS (SELECT 1 FROM awa.origin AS o, awa.this_origin() AS t
                WHERE o.system_identifier <> t.system_identifier) THEN
        RETURN true;
    END IF;
    SELECT greatest((SELECT max(d.xid) FROM awa.queue_terminal_count_deltas AS d),
                    (SELECT max(c.deltas_xid) FROM awa.queue_terminal_live_counts AS c),
                    (SELECT max(g.xid) FROM awa.stored_owners() AS g)) INTO v_next;
    -- Our own id is assigned now, so every stored id that was assigned here is smaller.
    RETURN coalesce(v_next >= pg_current_xact_id(), false);
END
$$;

-- If there are foreign ids, forget the owners of gaps, and count all terminal jobs anew from the facts.
-- Folded and unfolded counts cannot be told apart any more if somebody has already written here.
CREATE OR REPLACE FUNCTION awa.mend_ids(p_check boolean)
RETURNS TABLE (what text, detail text)
LANGUAGE plpgsql
AS $$
BEGIN
    IF NOT awa.has_foreign_ids() THEN
        RETURN;
    END IF;
    IF NOT p_check THEN
        TRUNCATE awa.queue_terminal_count_deltas, awa.queue_terminal_live_counts;
        PERFORM awa.rebuild_terminal_counters();
        PERFORM awa.take_lane(l.lane_id)
           FROM (SELECT DISTINCT g.lane_id FROM awa.stored_owners() AS g ORDER BY g.lane_id) AS l;
        PERFORM awa.restate_head(l.lane_id, '{}')
           FROM (SELECT DISTINCT g.lane_id FROM awa.stored_owners() AS g ORDER BY g.lane_id) AS l;
    END IF;
    what := 'transaction ids';
    detail := 'of another cluster: terminal counters and gaps';
    RETURN NEXT;
END
$$;

-- ---- What an older schema has left ---------------------------------------------------------

-- Drop the sequences of single lanes and queues, from which nobody draws any more. A sequence on which an
-- open transaction has a lock is left for the next time.
CREATE OR REPLACE FUNCTION awa.drop_leftovers()
RETURNS void
LANGUAGE plpgsql
SET lock_timeout = '100ms'
AS $$
DECLARE
    v_name text;
BEGIN
    FOR v_name IN SELECT c.relname FROM pg_class AS c
                   WHERE c.relnamespace = 'awa'::regnamespace AND c.relkind = 'S'
                     AND c.relname ~ '^(lane|hungry)_[0-9]+$'
                   ORDER BY c.relname LIMIT 1000 LOOP
        BEGIN
            EXECUTE format('DROP SEQUENCE awa.%I', v_name);
        EXCEPTION WHEN lock_not_available THEN
            NULL;
        END;
    END LOOP;
END
$$;

-- ---- All of it -----------------------------------------------------------------------------

CREATE OR REPLACE FUNCTION awa.mend_origin(p_check boolean)
RETURNS TABLE (what text, detail text)
LANGUAGE plpgsql
AS $$
BEGIN
    IF NOT awa.is_moved() THEN
        RETURN;
    END IF;
    IF EXISTS (SELECT 1 FROM awa.origin) THEN
        what := 'database';
        detail := 'restored or copied since it was looked at last';
        RETURN NEXT;
    END IF;
    IF NOT p_check THEN
        INSERT INTO awa.origin (system_identifier, database)
        SELECT t.system_identifier, t.database FROM awa.this_origin() AS t
            ON CONFLICT (one) DO UPDATE
           SET system_identifier = excluded.system_identifier, database = excluded.database;
    END IF;
END
$$;

-- Compare what lies outside the tables with them, and mend it unless p_check. Locks: none to look; to
-- mend, maintenance, history, and the lanes in question, in the order of docs/engine.md.
CREATE OR REPLACE FUNCTION awa.mend(p_check boolean)
RETURNS TABLE (what text, detail text)
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM awa.require_read_committed('mend');
    IF NOT p_check THEN
        PERFORM awa.require_durable(), awa.drop_leftovers();
        PERFORM awa.take_lock('maintenance');
        PERFORM awa.enter_history();
    END IF;
    RETURN QUERY SELECT m.* FROM awa.mend_sequences(p_check) AS m; -- first: heads need claim_ids
    RETURN QUERY SELECT m.* FROM awa.mend_ids(p_check) AS m;
    RETURN QUERY SELECT m.* FROM awa.mend_heads(p_check) AS m;
    RETURN QUERY SELECT m.* FROM awa.mend_origin(p_check) AS m; -- last: the others ask it
END
$$;
