-- SPDX-License-Identifier: MIT
-- Follow-ups that could not be inserted at once, because another transaction was just taking their unique
-- key; see awa.follow().

-- Insert those whose key is free now, and forget those whose key a live job holds. Called by the leader.
-- Returns how many are decided.
-- Door: kept.
CREATE OR REPLACE FUNCTION awa.decide_jobs(p_max int DEFAULT 100)
RETURNS int
LANGUAGE plpgsql
AS $$
DECLARE
    v_left record;
    v_decided int := 0;
BEGIN
    FOR v_left IN SELECT u.job_id, u.job FROM awa.undecided_jobs AS u
                   ORDER BY u.job_id LIMIT p_max FOR UPDATE SKIP LOCKED
    LOOP
        BEGIN
            PERFORM awa.add_children(ARRAY[jsonb_populate_record(NULL::awa.new_job,
                                                                 v_left.job || '{"ord": 1}')]);
            DELETE FROM awa.undecided_jobs AS u WHERE u.job_id = v_left.job_id;
            v_decided := v_decided + 1;
        EXCEPTION
            WHEN lock_not_available OR deadlock_detected THEN
                NULL; -- still busy; the leader comes again
            WHEN OTHERS THEN
                IF NOT awa.is_permanent(SQLSTATE) THEN
                    RAISE;
                END IF;
                -- Its parent has ended long ago: there is no other place to say it.
                RAISE WARNING 'awa: follow-up %, job %: %', v_left.job ->> 'kind', v_left.job_id, SQLERRM;
                DELETE FROM awa.undecided_jobs AS u WHERE u.job_id = v_left.job_id;
        END;
    END LOOP;
    RETURN v_decided;
END
$$;
