-- SPDX-License-Identifier: MIT
-- Heartbeats of workers, appended and truncated. An UPDATE every 2 s would leave 1,800 dead rows an
-- hour behind each worker while an old snapshot is held, and every claim would walk over them.

-- A beat lies in the child of its minute. awa.clear_beats() empties the one that comes next.
CREATE TABLE awa.worker_beats (
    worker_id bigint NOT NULL,
    seen_at timestamptz NOT NULL,
    beat_slot smallint NOT NULL)
PARTITION BY LIST (beat_slot);

DO $$
BEGIN
    FOR k IN 0 .. 2 LOOP
        EXECUTE format('CREATE TABLE awa.worker_beats_%s PARTITION OF awa.worker_beats'
                       ' FOR VALUES IN (%s) WITH (autovacuum_enabled = off)', k, k);
        EXECUTE format('CREATE INDEX ON awa.worker_beats_%s (worker_id, seen_at)', k);
    END LOOP;
END
$$;
