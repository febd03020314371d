-- SPDX-License-Identifier: MIT
-- Dead letters are forgotten when they are older than their queue keeps them.

-- Forget dead letters that are older than their queue's retention, at most 1,000 of each queue. Called by
-- the leader. Returns how many.
CREATE OR REPLACE FUNCTION awa.expire_dlq(p_now timestamptz DEFAULT clock_timestamp())
RETURNS bigint
LANGUAGE plpgsql
SET enable_seqscan = off
AS $$
DECLARE
    v_queue record;
    v_all bigint := 0;
BEGIN
    IF NOT EXISTS (SELECT 1 FROM awa.dlq_entries) THEN
        RETURN 0;
    END IF;
    FOR v_queue IN
        WITH RECURSIVE dead AS ( -- the queues, by the index, from one to the next
            (SELECT d.queue FROM awa.dlq_entries AS d ORDER BY d.queue LIMIT 1)
            UNION ALL
            SELECT (SELECT d.queue FROM awa.dlq_entries AS d
                     WHERE d.queue > dead.queue ORDER BY d.queue LIMIT 1)
              FROM dead WHERE dead.queue IS NOT NULL)
        SELECT dead.queue, coalesce(q.dlq_retention, s.dlq_retention) AS retention
          FROM dead
         CROSS JOIN awa.settings AS s
          LEFT JOIN awa.queues AS q ON q.queue = dead.queue
         WHERE dead.queue IS NOT NULL
    LOOP
        v_all := v_all + awa.forget_dead(ARRAY(
                SELECT o.id
                  FROM awa.dlq_entries AS o
                 WHERE o.queue = v_queue.queue AND o.dlq_at < p_now - v_queue.retention
                 ORDER BY o.dlq_at
                 LIMIT 1000
                   FOR UPDATE SKIP LOCKED));
    END LOOP;
    RETURN v_all;
END
$$;
