-- SPDX-License-Identifier: MIT
-- The storage of the engine: ringed tables, which are only ever inserted into and truncated, and
-- the small tables around them. docs/engine.md explains each; nobody but the functions of
-- sql/engine writes here.

CREATE TYPE awa.job_state AS ENUM ('scheduled', 'available', 'running', 'waiting_external',
        'retryable', 'completed', 'failed', 'cancelled');

-- Why positions are closed. The first three are terminal; after any other the job goes on
-- elsewhere: in deferred_jobs, as a new entry, or at the same position in another slot (carried).
CREATE TYPE awa.outcome AS ENUM ('completed', 'failed', 'cancelled', 'retried', 'snoozed',
        'released', 'rescued', 'expired', 'parked', 'carried', 'removed');

-- Why an entry was withdrawn without, or after, being claimed. Only 'cancelled' leaves the job
-- visible, as a terminal one.
CREATE TYPE awa.withdrawal AS ENUM ('cancelled', 'moved', 'carried', 'removed');

-- A job on its way into the queue, as the engine's functions hand it to each other. The parts
-- from attempt on are set only when a known job becomes runnable once more.
CREATE TYPE awa.new_job AS (
    ord int, -- 1, 2, ... within its batch
    id bigint,
    kind text,
    args jsonb,
    queue text,
    priority int,
    enqueue_shard int,
    max_attempts int,
    run_at timestamptz,
    tags text[],
    metadata jsonb,
    unique_key text,
    error text, -- why it is refused
    attempt int,
    errors jsonb,
    enqueued_at timestamptz,
    created_at timestamptz);

-- What one look at a lane found: slots[i] holds the consecutive positions islands[i].
CREATE TYPE awa.lane_search AS (
    slots smallint[],
    islands int8range[],
    n bigint,
    cursor bigint,        -- the highest position seen
    gaps int8multirange,  -- positions up to it that were not seen
    complete boolean,     -- every gap was searched
    claim_id bigint);     -- under which it was recorded; NULL: not at all

-- The end of one attempt on its way into the tables.
CREATE TYPE awa.closing AS (
    ready_slot smallint,
    pos bigint,
    outcome awa.outcome,
    id bigint,
    attempt int,        -- used up, this one included unless it is given back
    error jsonb,        -- to append to the job's errors
    output jsonb,
    run_at timestamptz, -- when it runs again; NULL: at once, as a new entry
    keep_age boolean);  -- the new entry waits since its first one

CREATE SEQUENCE awa.job_ids;
CREATE SEQUENCE awa.claim_ids;
CREATE SEQUENCE awa.queue_ids;
CREATE SEQUENCE awa.lane_ids AS int MAXVALUE 524287; -- 2^19 lanes of 2^44 positions

-- ---- Settings ------------------------------------------------------------------------------

-- One row. What a queue does not set itself comes from here.
CREATE TABLE awa.settings (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    deadline interval NOT NULL DEFAULT '300 s' CHECK (deadline >= '0 s'), -- 0: none
    aging_interval interval NOT NULL DEFAULT '60 s' CHECK (aging_interval >= '0 s'), -- 0: off
    completed_retention interval NOT NULL DEFAULT '1 h' CHECK (completed_retention >= '0 s'),
    failed_retention interval NOT NULL DEFAULT '72 h' CHECK (failed_retention >= '0 s'),
    slot_bytes bigint NOT NULL DEFAULT 512 * 1024 * 1024 CHECK (slot_bytes >= 8192),
    slot_age interval NOT NULL DEFAULT '5 min' CHECK (slot_age > '0 s'),
    worker_grace interval NOT NULL DEFAULT '3 s' CHECK (worker_grace > '0 s'),
    worker_lease interval NOT NULL DEFAULT '15 s' CHECK (worker_lease > '0 s'),
    leader_lease interval NOT NULL DEFAULT '4 s' CHECK (leader_lease > '0 s'));

INSERT INTO awa.settings DEFAULT VALUES;

CREATE TABLE awa.queues (
    queue text PRIMARY KEY CHECK (octet_length(queue) BETWEEN 1 AND 200),
    paused_at timestamptz,
    paused_by text,
    enqueue_shards int NOT NULL DEFAULT 1 CHECK (enqueue_shards BETWEEN 1 AND 64),
    deadline interval CHECK (deadline >= '0 s'),             -- NULL: as in settings
    aging_interval interval CHECK (aging_interval >= '0 s'), -- NULL: as in settings
    hungry_until regclass NOT NULL, -- a sequence: the time in ms until which a worker waits
    created_at timestamptz NOT NULL DEFAULT clock_timestamp());

-- ---- Lanes ---------------------------------------------------------------------------------

-- A lane is one interval of positions: lane_id * 2^44 and up. Several lanes may serve one
-- (queue, priority, enqueue_shard); producers use the oldest that is not sealed.
CREATE TABLE awa.lanes (
    lane_id int PRIMARY KEY,
    queue text NOT NULL,
    priority smallint NOT NULL CHECK (priority BETWEEN 1 AND 4),
    enqueue_shard smallint NOT NULL CHECK (enqueue_shard BETWEEN 0 AND 63),
    positions regclass NOT NULL, -- the sequence that hands out its positions
    sealed boolean NOT NULL DEFAULT false);

CREATE INDEX lanes_by_queue ON awa.lanes (queue, priority, enqueue_shard, lane_id);

-- Gaps that no longer fit into the lane's head (rule G6); searched by awa.sweep_gaps().
CREATE TABLE awa.lane_gaps (
    lane_id int NOT NULL,
    gap_id bigint GENERATED ALWAYS AS IDENTITY,
    gaps int8multirange NOT NULL,
    gaps_xid xid8 NOT NULL, -- every owner of these gaps has a smaller transaction id
    PRIMARY KEY (lane_id, gap_id));

-- ---- The ring ------------------------------------------------------------------------------

CREATE TABLE awa.ring_rotations (
    generation bigint PRIMARY KEY,
    ready_slot smallint NOT NULL,
    opened_at timestamptz NOT NULL DEFAULT clock_timestamp());

INSERT INTO awa.ring_rotations (generation, ready_slot) VALUES (1, 0);

-- Columns stand in the order in which they pack best.
CREATE TABLE awa.ready_entries (
    pos bigint NOT NULL,
    id bigint NOT NULL,
    enqueued_at timestamptz NOT NULL, -- became runnable
    ready_slot smallint NOT NULL,
    attempt smallint NOT NULL, -- attempts used up before this entry
    max_attempts smallint NOT NULL,
    kind text NOT NULL,
    args jsonb NOT NULL,
    tags text[],
    metadata jsonb,
    unique_key text,
    errors jsonb,            -- of earlier attempts, oldest first
    created_at timestamptz,  -- NULL: enqueued_at
    CONSTRAINT kind CHECK (octet_length(kind) BETWEEN 1 AND 200),
    CONSTRAINT max_attempts CHECK (max_attempts BETWEEN 1 AND 1000 AND attempt >= 0))
PARTITION BY LIST (ready_slot);

CREATE TABLE awa.ready_tombstones (
    pos bigint NOT NULL,
    withdrawn_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ready_slot smallint NOT NULL,
    reason awa.withdrawal NOT NULL)
PARTITION BY LIST (ready_slot);

-- The newest row of a lane (by claim_id) is the lane's head: cursor and gaps. Rows of one claim
-- in several slots carry the same head.
CREATE TABLE awa.claims (
    claim_id bigint NOT NULL,
    worker_id bigint NOT NULL, -- 0: a head that claims nothing
    claimed_at timestamptz NOT NULL,
    deadline_at timestamptz, -- NULL: none
    cursor bigint NOT NULL,  -- the highest position seen
    gaps_old_xid xid8,       -- every owner of gaps_old has a smaller transaction id
    gaps_searched_at timestamptz,
    lane_id int NOT NULL,
    n int NOT NULL,
    ready_slot smallint NOT NULL,
    positions int8multirange NOT NULL,
    gaps_young int8multirange NOT NULL,
    gaps_old int8multirange NOT NULL)
PARTITION BY LIST (ready_slot);

CREATE TABLE awa.closures (
    closed_at timestamptz NOT NULL,
    lane_id int NOT NULL,
    n int NOT NULL,
    ready_slot smallint NOT NULL,
    outcome awa.outcome NOT NULL,
    positions int8multirange NOT NULL)
PARTITION BY LIST (ready_slot);

CREATE TABLE awa.done_entries (
    pos bigint NOT NULL,
    id bigint NOT NULL,
    finalized_at timestamptz NOT NULL,
    ready_slot smallint NOT NULL,
    attempt smallint NOT NULL, -- attempts used up in the end
    state awa.job_state NOT NULL CHECK (state IN ('completed', 'failed', 'cancelled')),
    output jsonb,
    errors jsonb)
PARTITION BY LIST (ready_slot);

-- A slot is child k of every ringed table. They are never updated and soon truncated, so vacuum
-- has nothing to do there; anti-wraparound still runs. BRIN answers "which pages hold id N".
DO $$
DECLARE
    v_slots CONSTANT int := 16;
    v_table text;
BEGIN
    FOR k IN 0 .. v_slots - 1 LOOP
        FOREACH v_table IN ARRAY ARRAY['ready_entries', 'ready_tombstones', 'claims', 'closures',
                                       'done_entries'] LOOP
            EXECUTE format('CREATE TABLE awa.%I PARTITION OF awa.%I FOR VALUES IN (%s)'
                           ' WITH (autovacuum_enabled = off, toast.autovacuum_enabled = off)',
                           v_table || '_' || k, v_table, k);
        END LOOP;
        EXECUTE format('CREATE UNIQUE INDEX ON awa.ready_entries_%s (pos)', k);
        EXECUTE format('CREATE INDEX ON awa.ready_entries_%s USING brin (id)'
                       ' WITH (pages_per_range = 16, autosummarize = on)', k);
        EXECUTE format('CREATE UNIQUE INDEX ON awa.ready_tombstones_%s (pos)', k);
        EXECUTE format('CREATE INDEX ON awa.claims_%s (lane_id, claim_id)', k);
        EXECUTE format('CREATE INDEX ON awa.claims_%s (worker_id)', k);
        EXECUTE format('CREATE INDEX ON awa.claims_%s (deadline_at)', k);
        EXECUTE format('CREATE INDEX ON awa.claims_%s USING gist (positions)', k);
        EXECUTE format('ALTER TABLE awa.closures_%s ADD EXCLUDE USING gist (positions WITH &&)', k);
        EXECUTE format('CREATE UNIQUE INDEX ON awa.done_entries_%s (pos)', k);
        EXECUTE format('CREATE INDEX ON awa.done_entries_%s (id)', k);
    END LOOP;
END
$$;

-- ---- Jobs that wait for their time ---------------------------------------------------------

CREATE TABLE awa.deferred_jobs (
    id bigint PRIMARY KEY,
    run_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    state awa.job_state NOT NULL CHECK (state IN ('scheduled', 'retryable')),
    priority smallint NOT NULL CHECK (priority BETWEEN 1 AND 4),
    enqueue_shard smallint NOT NULL,
    attempt smallint NOT NULL CHECK (attempt >= 0),
    max_attempts smallint NOT NULL CHECK (max_attempts BETWEEN 1 AND 1000),
    queue text NOT NULL CHECK (octet_length(queue) BETWEEN 1 AND 200),
    kind text NOT NULL CHECK (octet_length(kind) BETWEEN 1 AND 200),
    args jsonb NOT NULL,
    tags text[],
    metadata jsonb,
    unique_key text,
    errors jsonb)
WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);

CREATE INDEX deferred_jobs_due ON awa.deferred_jobs (run_at, id);

-- Who holds a unique key. A row may outlive its job: whoever meets it asks whether the job lives.
CREATE TABLE awa.unique_keys (
    unique_key text PRIMARY KEY CHECK (octet_length(unique_key) BETWEEN 1 AND 200),
    id bigint NOT NULL);

-- ---- Workers and leadership ----------------------------------------------------------------

CREATE TABLE awa.workers (
    worker_id bigint PRIMARY KEY CHECK (worker_id > 0),
    name text NOT NULL,
    queues text[] NOT NULL,
    kinds text[], -- NULL: every kind
    session boolean NOT NULL, -- it holds a session advisory lock on its worker_id
    registered_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    lease interval,        -- NULL: as in settings
    ended_at timestamptz,  -- it said good-bye, or was found dead
    empty boolean NOT NULL DEFAULT false, -- ended, and everything that it held is settled
    rescued bigint NOT NULL DEFAULT 0) -- jobs taken from it after its end
WITH (fillfactor = 50, autovacuum_vacuum_threshold = 100, autovacuum_vacuum_scale_factor = 0);

CREATE TABLE awa.leaders (
    term bigint PRIMARY KEY,
    worker_id bigint NOT NULL,
    elected_at timestamptz NOT NULL DEFAULT clock_timestamp());

CREATE SEQUENCE awa.leader_until MINVALUE 0 START 0;  -- the time in ms at which the term ends
CREATE SEQUENCE awa.leader_sleeps MINVALUE 0 START 0; -- the time in ms until which it sleeps
