-- SPDX-License-Identifier: MIT
-- Workers have a secret, by which they act, and a public number, by which everybody speaks of them.
-- Their silence is measured in time during which the database served somebody, not by a clock that may
-- be set.

CREATE SEQUENCE awa.worker_numbers;

ALTER TABLE awa.workers
    ADD secret bytea, -- its SHA-256
    ADD seen_ms bigint NOT NULL DEFAULT 0; -- awa.served_ms as it was seen, but for its beats
UPDATE awa.workers SET secret = sha256(int8send(worker_id)); -- those that run know this one
ALTER TABLE awa.workers ALTER secret SET NOT NULL;
CREATE UNIQUE INDEX workers_secret ON awa.workers (secret);
CREATE INDEX workers_alive ON awa.workers (worker_id) WHERE ended_at IS NULL;
CREATE INDEX workers_unsettled ON awa.workers (worker_id) WHERE NOT empty;

TRUNCATE awa.worker_beats;
ALTER TABLE awa.worker_beats ADD seen_ms bigint NOT NULL;
DO $$
BEGIN
    FOR k IN 0 .. 2 LOOP
        EXECUTE format('DROP INDEX awa.worker_beats_%s_worker_id_seen_at_idx', k);
        EXECUTE format('CREATE INDEX ON awa.worker_beats_%s (worker_id, seen_ms)', k);
    END LOOP;
END
$$;

-- The engine's own time; see awa.tick_served().
CREATE SEQUENCE awa.served_ms MINVALUE 0 START 0;    -- milliseconds during which it was served
CREATE SEQUENCE awa.served_at MINVALUE 0 START 0;    -- when that was last moved on, in ms since 1970
CREATE SEQUENCE awa.outage_ended MINVALUE 0 START 0; -- served_ms at the end of the last outage
