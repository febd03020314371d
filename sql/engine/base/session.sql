-- SPDX-License-Identifier: MIT
-- What a transaction needs before it decides something: its isolation level, its durability, its locks,
-- and its numbers.

-- A decision under a lock must read data after the lock was obtained. In any other isolation level the
-- snapshot may be older than the lock, and show, say, a running job as waiting. Raises JQ001.
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

-- Make the commit of the current transaction durable: it tells the outside something that a crash must
-- not undo.
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

-- The other transactions of this database that have a snapshot now, as virtual transaction ids, which are
-- not used twice. Their xmin would not do: while another database has an open transaction with an id,
-- even a new snapshot looks as old as that transaction.
CREATE OR REPLACE FUNCTION awa.snapshot_holders()
RETURNS text[]
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM pg_stat_clear_snapshot(); -- else pg_stat_activity repeats what we read before
    RETURN ARRAY(
        SELECT k.virtualtransaction
          FROM pg_locks AS k
          JOIN pg_stat_activity AS a ON a.pid = k.pid
         WHERE k.locktype = 'virtualxid' AND k.mode = 'ExclusiveLock' AND k.granted
           AND a.backend_xmin IS NOT NULL AND a.datname = current_database()
           AND a.usesysid IS NOT NULL -- leaves out autovacuum, which reads no jobs
           AND a.pid <> pg_backend_pid()
         ORDER BY 1);
END
$$;

-- ---- Locks ---------------------------------------------------------------------------------

-- The locks are rows and tables of schema awa, so a login without rights on them delays nobody here. Each
-- lock but awa.draw_lock lasts to the end of the transaction. A transaction that takes several waits for
-- them in this order: worker, maintenance, history, lane; and for lanes in ascending order.
--
-- Every login can take advisory locks. We use them for two things only: two first users of a lane wait
-- for each other, briefly (awa.open_lane), and a worker shows that its session is there
-- (awa.register_worker). A login that takes the second lock in the place of a dead worker delays its
-- rescue to the end of the lease.
-- This function returns the first key of such a lock.
CREATE OR REPLACE FUNCTION awa.lock_class(p_what text)
RETURNS int
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE p_what
       WHEN 'new lane' THEN 1635213570 -- 'awa' and a number, as bytes
       WHEN 'worker' THEN 1635213574
       END;

-- Take one of awa.locks; wait until nobody else holds it.
CREATE OR REPLACE FUNCTION awa.take_lock(p_name text)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM 1 FROM awa.locks AS k WHERE k.name = p_name FOR UPDATE;
END
$$;

-- Take one of awa.locks if nobody else holds it; do not wait. Returns whether it was obtained.
CREATE OR REPLACE FUNCTION awa.try_lock(p_name text)
RETURNS boolean
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM 1 FROM awa.locks AS k WHERE k.name = p_name FOR UPDATE SKIP LOCKED;
    RETURN FOUND;
END
$$;

-- Share one of awa.locks with other transactions that share it; do not wait. Returns whether it was
-- obtained.
CREATE OR REPLACE FUNCTION awa.try_lock_shared(p_name text)
RETURNS boolean
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM 1 FROM awa.locks AS k WHERE k.name = p_name FOR SHARE SKIP LOCKED;
    RETURN FOUND;
END
$$;

-- Take the lock of a lane. Its holder may claim from the lane, move its head, and withdraw what waits
-- there. The holder must read the lane by a later statement: this one may see what was there before the
-- lock was free.
CREATE OR REPLACE FUNCTION awa.take_lane(p_lane int)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM 1 FROM awa.lanes AS l WHERE l.lane_id = p_lane FOR UPDATE;
END
$$;

CREATE OR REPLACE FUNCTION awa.try_lane(p_lane int)
RETURNS boolean
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM 1 FROM awa.lanes AS l WHERE l.lane_id = p_lane FOR UPDATE SKIP LOCKED;
    RETURN FOUND;
END
$$;

-- Begin a change of many terminal jobs. Only one transaction at a time does that: two that take the same
-- jobs in different orders would wait in a circle. The lock lasts to the end of the transaction. A change
-- of a single job does not need it.
CREATE OR REPLACE FUNCTION awa.enter_history()
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM awa.require_read_committed('history');
    PERFORM awa.take_lock('history');
END
$$;

-- ---- Numbers -------------------------------------------------------------------------------

-- Draw p_n consecutive numbers from a sequence. Returns the first. (awa.draw_one draws a single one.)
-- nextval() alone would cost half a microsecond for each number, and would mix the numbers of two
-- producers. setval() moves the sequence on by a whole block, but only if nobody else draws in between:
-- - Two blocks exclude each other by a lock on a table. A subtransaction takes the lock and is rolled
--   back at once. That releases the lock whatever happens, and leaves the sequences as they are, because
--   sequences are not transactional.
-- - A single number needs no lock. awa.block_draws counts the beginnings and the ends of blocks. If the
--   counter is odd, or moved meanwhile, a block was being drawn and the number may lie in it: the number
--   is dropped, and another one is drawn. (The reader of a seqlock does the same.)
-- Rule G1, kept here for all callers: a producer has its transaction id before it draws a position, so it
-- can be named as the possible owner of a gap; see awa.living_drawers().
CREATE OR REPLACE FUNCTION awa.draw_block(p_sequence regclass, p_n bigint)
RETURNS bigint
LANGUAGE plpgsql
SET lock_timeout = '10s'
AS $$
DECLARE
    v_first bigint;
BEGIN
    PERFORM pg_current_xact_id(); -- rule G1; the transaction's, not the subtransaction's
    BEGIN
        LOCK TABLE awa.draw_lock IN EXCLUSIVE MODE;
        IF awa.block_is_drawn(pg_sequence_last_value('awa.block_draws')) THEN
            PERFORM nextval('awa.block_draws'); -- of a block that was interrupted: we hold the lock
        END IF;
        PERFORM nextval('awa.block_draws');
        v_first := nextval(p_sequence);
        PERFORM setval(p_sequence, v_first + p_n - 1);
        PERFORM nextval('awa.block_draws');
        RAISE EXCEPTION USING ERRCODE = 'JQ900';
    EXCEPTION WHEN SQLSTATE 'JQ900' THEN
        RETURN v_first;
    END;
END
$$;

-- Whether a block is being drawn, if awa.block_draws has this value.
CREATE OR REPLACE FUNCTION awa.block_is_drawn(p_draws bigint)
RETURNS boolean
LANGUAGE sql IMMUTABLE
RETURN coalesce(p_draws, 0) % 2 = 1;

CREATE OR REPLACE FUNCTION awa.draw_one(p_sequence regclass)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_drawn record;
BEGIN
    PERFORM pg_current_xact_id(); -- rule G1
    FOR i IN 1 .. 5 LOOP
        SELECT pg_sequence_last_value('awa.block_draws') AS before, nextval(p_sequence) AS number,
               pg_sequence_last_value('awa.block_draws') AS after
          INTO v_drawn;
        IF v_drawn.before IS NOT DISTINCT FROM v_drawn.after
           AND NOT awa.block_is_drawn(v_drawn.before) THEN
            RETURN v_drawn.number;
        END IF;
    END LOOP;
    RETURN awa.draw_block(p_sequence, 1);
END
$$;
