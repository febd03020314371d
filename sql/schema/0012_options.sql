-- SPDX-License-Identifier: MIT
-- Rarely used options of a job travel with it in one column, which is NULL for a plain job. Times that are
-- set have an upper limit.

ALTER TABLE awa.ready_entries ADD options jsonb;
ALTER TABLE awa.deferred_jobs ADD options jsonb;
ALTER TABLE awa.dlq_entries ADD options jsonb;
ALTER TYPE awa.new_job ADD ATTRIBUTE options jsonb;
ALTER TYPE awa.lane_search ADD ATTRIBUTE options boolean; -- some of what was found has options

-- What awa.job_problem() refuses, a COPY must not bring either: a claim reads them. Not for the rows
-- that are there: they have none.
ALTER TABLE awa.ready_entries ADD CONSTRAINT options CHECK (
    options IS NULL
    OR (jsonb_typeof(options) = 'object' AND octet_length(options::text) <= 65536
        AND (options -> 'max_run_ms' IS NULL
             OR (jsonb_typeof(options -> 'max_run_ms') = 'number'
                 AND (options ->> 'max_run_ms')::numeric BETWEEN 1 AND 31536000000)))) NOT VALID;

-- Which entries have options: a claim that has found some asks where they are.
DO $$
DECLARE
    v_child regclass;
BEGIN
    FOR v_child IN SELECT i.inhrelid FROM pg_inherits AS i
                    WHERE i.inhparent = 'awa.ready_entries'::regclass LOOP
        EXECUTE format('CREATE INDEX ON %s (pos) WHERE options IS NOT NULL', v_child);
    END LOOP;
END
$$;

-- awa.check_times() refuses longer ones: the ring stopped, because the time of now could not be reckoned
-- back so far.
DO $$
DECLARE
    v_table regclass;
    v_time record;
BEGIN
    FOREACH v_table IN ARRAY ARRAY['awa.settings', 'awa.queues']::regclass[] LOOP
        FOR v_time IN SELECT * FROM (VALUES ('deadline', '365 days'), ('aging_interval', '365 days'),
                                            ('completed_retention', '1000 years'),
                                            ('failed_retention', '1000 years'),
                                            ('dlq_retention', '1000 years')) AS t (name, most) LOOP
            EXECUTE format('UPDATE %s SET %I = %L WHERE %I > %L', v_table, v_time.name, v_time.most,
                           v_time.name, v_time.most);
        END LOOP;
    END LOOP;
END
$$;

-- What a bulk verb looks for; NULL: any. See awa.begin_bulk().
CREATE TYPE awa.job_filter AS (
    kind text,
    queue text,
    tag text,
    reason text,
    from_at timestamptz,
    to_at timestamptz,
    before_id bigint,
    max_jobs int
);
