-- SPDX-License-Identifier: MIT
-- What a transaction may and must do before it decides something: its isolation, its durability, its
-- locks, and how it draws numbers.

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

-- Transactions of this database that have a snapshot just now, as virtual transaction ids, which are
-- not used twice. Not by their xmin: while another database has an open transaction with an id, a
-- new snapshot looks as old as that one.
CREATE OR REPLACE FUNCTION awa.snapshot_holders()
RETURNS text[]
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM pg_stat_clear_snapshot(); -- or we would read what this transaction has read before
    RETURN ARRAY(
        SELECT k.virtualtransaction
          FROM pg_locks AS k
          JOIN pg_stat_activity AS a ON a.pid = k.pid
         WHERE k.locktype = 'virtualxid' AND k.mode = 'ExclusiveLock' AND k.granted
           AND a.backend_xmin IS NOT NULL AND a.datname = current_database()
           AND a.usesysid IS NOT NULL -- no autovacuum: it reads no jobs
           AND a.pid <> pg_backend_pid()
         ORDER BY 1);
END
$$;

-- ---- Locks ---------------------------------------------------------------------------------

-- Nobody without rights on these tables can hold up anybody here: what is locked is a row, or a table,
-- of ours. Each lock lasts to the end of the transaction. Who takes several waits for them in this
-- order: worker, maintenance, history, lane; and for lanes in ascending order.
--
-- Advisory locks, which every login can take, are left for two things: two first users of a lane
-- who wait for each other, briefly (awa.open_lane), and the sign that a worker's session is there
-- (awa.register_worker): whoever holds that in its place delays a rescue to the end of the lease.
CREATE OR REPLACE FUNCTION awa.lock_class(p_what text)
RETURNS int
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE p_what
       WHEN 'new lane' THEN 1635213570 -- 'awa' and a number, as bytes
       WHEN 'worker' THEN 1635213574
       END;

-- Wait until nobody else holds one of awa.locks, and hold it.
CREATE OR REPLACE FUNCTION awa.take_lock(p_name text)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM 1 FROM awa.locks AS k WHERE k.name = p_name FOR UPDATE;
END
$$;

-- The same, if nobody else holds it. Returns whether it was obtained.
CREATE OR REPLACE FUNCTION awa.try_lock(p_name text)
RETURNS boolean
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM 1 FROM awa.locks AS k WHERE k.name = p_name FOR UPDATE SKIP LOCKED;
    RETURN FOUND;
END
$$;

-- The same, beside others who share it.
CREATE OR REPLACE FUNCTION awa.try_lock_shared(p_name text)
RETURNS boolean
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM 1 FROM awa.locks AS k WHERE k.name = p_name FOR SHARE SKIP LOCKED;
    RETURN FOUND;
END
$$;

-- The lock of a lane: whoever holds it claims from the lane, moves its head, or withdraws what waits
-- there. What was decided under it must be read by a later statement.
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

-- Somebody changes much of history at once: one after the other, because two who take the same
-- jobs in different orders would wait in a circle. Held to the end of the transaction; single jobs
-- need it not.
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

-- Draw numbers from a sequence: one, or p_n consecutive ones, of which the first is returned.
-- nextval() alone costs half a microsecond a number and lets producers interleave; setval() moves it
-- on by a whole block, but only if nobody draws in between.
-- - Blocks keep out of each other's way by a lock on a table that is taken inside a subtransaction and
--   rolled back at once: that releases it, whatever happens, and leaves the sequences as they are,
--   because they are not transactional.
-- - A single number needs no lock. awa.block_draws counts the beginnings and the ends of blocks; if it
--   is odd, or moved meanwhile, a block was being drawn, and the number may lie in it: it is
--   dropped, and another one drawn. (The reader of a seqlock does the same.)
-- Rule G1, kept here for everybody: a producer has its transaction id before it draws a position, and
-- so it can be named as the possible owner of a gap; see awa.living_drawers().
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
            PERFORM nextval('awa.block_draws'); -- by somebody who was interrupted: we hold the lock
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

-- Whether a block is being drawn, by what awa.block_draws says.
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
