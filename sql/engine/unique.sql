-- SPDX-License-Identifier: MIT
-- requires: settings
-- Unique keys. A key belongs to a job while that job lives. Nothing is written when a job ends:
-- whoever wants a key that is taken asks whether its holder still lives, and takes it over if
-- not. So the hot path of closing jobs knows nothing of keys.

-- Forget the keys of jobs that have ended in a slot that is about to be truncated, at most p_max: those
-- whose jobs were completed, failed, cancelled or deleted there, and did not come back. Keys first, then
-- the look whether their jobs have ended: whoever is about to retry one has its key by then. Returns
-- whether there may be more.
CREATE OR REPLACE FUNCTION awa.forget_keys(p_slot smallint, p_max int)
RETURNS boolean
LANGUAGE plpgsql
SET enable_seqscan = off
AS $$
DECLARE
    v_keys text[];
BEGIN
    IF NOT EXISTS (SELECT 1 FROM awa.unique_keys) THEN
        RETURN false;
    END IF;
    v_keys := ARRAY(SELECT u.unique_key
                      FROM awa.ready_entries AS e
                      JOIN awa.unique_keys AS u ON u.unique_key = e.unique_key AND u.id = e.id
                     WHERE e.ready_slot = p_slot AND e.unique_key IS NOT NULL
                       AND awa.ended_here(p_slot, e.pos)
                     LIMIT p_max
                       FOR UPDATE OF u SKIP LOCKED);
    DELETE FROM awa.unique_keys AS u
     USING awa.ready_entries AS e
     WHERE u.unique_key = ANY (v_keys) AND e.ready_slot = p_slot AND e.unique_key = u.unique_key
       AND e.id = u.id AND awa.ended_here(p_slot, e.pos);
    RETURN cardinality(v_keys) = p_max;
END
$$;

-- Whether a job has ended for good at a position: it does not live on elsewhere, and was not taken back. A
-- dead letter may run again; its key goes with it (awa.forget_dead).
CREATE OR REPLACE FUNCTION awa.ended_here(p_slot smallint, p_pos bigint)
RETURNS boolean
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN (SELECT coalesce(k.outcome IN ('completed', 'failed', 'cancelled', 'deleted'),
                            t.reason IN ('cancelled', 'removed'))
                   AND (k.outcome IS NULL OR t.reason IS NULL)
              FROM (SELECT 1) AS one
              LEFT JOIN LATERAL (SELECT k.outcome FROM awa.closures AS k
                                  WHERE k.ready_slot = p_slot AND k.positions @> p_pos
                                  LIMIT 1) AS k ON true
              LEFT JOIN LATERAL (SELECT t.reason FROM awa.ready_tombstones AS t
                                  WHERE t.ready_slot = p_slot AND t.pos = p_pos
                                  LIMIT 1) AS t ON true);
END
$$;

-- These jobs are gone for good: so are their keys.
CREATE OR REPLACE FUNCTION awa.drop_unique_keys(p_unique_keys text[], p_ids bigint[])
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    DELETE FROM awa.unique_keys AS u
     USING unnest(p_unique_keys, p_ids) AS j (unique_key, id)
     WHERE u.unique_key = j.unique_key AND u.id = j.id;
END
$$;

-- Take a unique key for a job. Waits only for a transaction that holds the same key.
-- Returns whether the job has it now.
CREATE OR REPLACE FUNCTION awa.take_unique_key(p_unique_key text, p_id bigint)
RETURNS boolean
LANGUAGE plpgsql
AS $$
DECLARE
    v_holder bigint;
BEGIN
    LOOP
        INSERT INTO awa.unique_keys AS u (unique_key, id)
        VALUES (p_unique_key, p_id)
            ON CONFLICT DO NOTHING;
        IF FOUND THEN
            RETURN true;
        END IF;

        SELECT u.id INTO v_holder
          FROM awa.unique_keys AS u WHERE u.unique_key = p_unique_key FOR UPDATE;
        CONTINUE WHEN NOT FOUND;
        IF v_holder = p_id THEN
            RETURN true;
        END IF;
        IF awa.job_is_live(v_holder) THEN
            RETURN false;
        END IF;
        UPDATE awa.unique_keys AS u SET id = p_id WHERE u.unique_key = p_unique_key;
        RETURN true;
    END LOOP;
END
$$;
