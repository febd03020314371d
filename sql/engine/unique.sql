-- SPDX-License-Identifier: MIT
-- requires: settings
-- Unique keys. A key belongs to a job while that job lives. Nothing is written when a job ends:
-- whoever wants a key that is taken asks whether its holder still lives, and takes it over if
-- not. So the hot path of closing jobs knows nothing of keys.

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
