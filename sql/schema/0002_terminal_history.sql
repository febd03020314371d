-- SPDX-License-Identifier: MIT
-- Terminal history: exact counts of jobs that have ended, and the dead-letter queue.

-- A running job that somebody deleted; a failed one that went to the dead-letter queue.
ALTER TYPE awa.outcome ADD VALUE 'deleted';
ALTER TYPE awa.outcome ADD VALUE 'dead_lettered';

-- What a bulk verb did. Call it again with next_before as p_before until that is NULL.
CREATE TYPE awa.bulk_result AS (
    matched bigint,
    changed bigint,
    conflicts bigint,     -- left where they are: a newer job holds the unique key
    sample bigint[],      -- the ids of the first ten that matched
    next_before bigint);  -- the last id that was looked at, if there may be more

-- ---- Settings ------------------------------------------------------------------------------

ALTER TABLE awa.settings
    ADD dlq_enabled boolean NOT NULL DEFAULT false,
    ADD dlq_retention interval NOT NULL DEFAULT '30 d' CHECK (dlq_retention >= '0 s'),
    -- Since when the counters may be believed; NULL: readers scan.
    ADD terminal_counters_trusted_at timestamptz;

ALTER TABLE awa.queues -- NULL: as in settings
    ADD dlq_enabled boolean,
    ADD completed_retention interval CHECK (completed_retention >= '0 s'),
    ADD failed_retention interval CHECK (failed_retention >= '0 s'),
    ADD dlq_retention interval CHECK (dlq_retention >= '0 s');

-- ---- Counts --------------------------------------------------------------------------------

-- Signed changes of terminal counts that no closure stands for: a job that was cancelled before
-- anybody claimed it (+1), a terminal one that was taken back (-1).
CREATE TABLE awa.queue_terminal_count_deltas (
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    lane_id int NOT NULL,
    completed int NOT NULL DEFAULT 0,
    failed int NOT NULL DEFAULT 0,
    cancelled int NOT NULL DEFAULT 0,
    ready_slot smallint NOT NULL)
PARTITION BY LIST (ready_slot);

-- Counts of sealed slots, folded. The count of a key (ready_slot, queue, priority, enqueue_shard)
-- is the sum of its rows, of the closures of the slot outside all covers, and of the deltas from
-- the highest deltas_xid of the slot on. Rows are only added, and truncated with their slot.
CREATE TABLE awa.queue_terminal_live_counts (
    folded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    completed bigint NOT NULL,
    failed bigint NOT NULL,
    cancelled bigint NOT NULL,
    deltas_xid xid8 NOT NULL,  -- deltas of smaller transaction ids are included
    lane_id int NOT NULL,
    priority smallint NOT NULL,
    enqueue_shard smallint NOT NULL,
    ready_slot smallint NOT NULL,
    queue text NOT NULL,
    cover int8multirange NOT NULL) -- closures within these positions are included
PARTITION BY LIST (ready_slot);

DO $$
BEGIN
    FOR k IN 0 .. (SELECT count(*) - 1 FROM pg_inherits AS i
                    WHERE i.inhparent = 'awa.ready_entries'::regclass) LOOP
        EXECUTE format('CREATE TABLE awa.queue_terminal_count_deltas_%s PARTITION OF'
                       ' awa.queue_terminal_count_deltas FOR VALUES IN (%s)'
                       ' WITH (autovacuum_enabled = off)', k, k);
        EXECUTE format('CREATE INDEX ON awa.queue_terminal_count_deltas_%s (xid)', k);
        EXECUTE format('CREATE TABLE awa.queue_terminal_live_counts_%s PARTITION OF'
                       ' awa.queue_terminal_live_counts FOR VALUES IN (%s)'
                       ' WITH (autovacuum_enabled = off, toast.autovacuum_enabled = off)', k, k);
    END LOOP;
END
$$;

-- History that was pruned, added up from scans of the slots.
CREATE TABLE awa.queue_terminal_rollups (
    queue text NOT NULL,
    priority smallint NOT NULL,
    enqueue_shard smallint NOT NULL,
    completed bigint NOT NULL DEFAULT 0,
    failed bigint NOT NULL DEFAULT 0,
    cancelled bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (queue, priority, enqueue_shard))
WITH (fillfactor = 50);

-- An empty history is counted right. One that was there before must be counted once:
-- awa storage rebuild-terminal-counters.
UPDATE awa.settings SET terminal_counters_trusted_at = clock_timestamp()
 WHERE NOT EXISTS (SELECT 1 FROM awa.closures) AND NOT EXISTS (SELECT 1 FROM awa.ready_tombstones);

-- ---- The dead-letter queue -----------------------------------------------------------------

CREATE TABLE awa.dlq_entries (
    id bigint PRIMARY KEY,
    dlq_at timestamptz NOT NULL,
    finalized_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    run_at timestamptz NOT NULL,
    attempted_at timestamptz,
    run_lease bigint,
    priority smallint NOT NULL,
    enqueue_shard smallint NOT NULL,
    attempt smallint NOT NULL,
    max_attempts smallint NOT NULL,
    queue text NOT NULL,
    kind text NOT NULL,
    reason text NOT NULL CHECK (octet_length(reason) BETWEEN 1 AND 200),
    args jsonb NOT NULL,
    tags text[],
    metadata jsonb,
    unique_key text,
    errors jsonb,
    output jsonb)
WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);

CREATE INDEX dlq_entries_newest ON awa.dlq_entries (dlq_at, id);
CREATE INDEX dlq_entries_by_queue ON awa.dlq_entries (queue, dlq_at);
