-- SPDX-License-Identifier: MIT
-- Follow-ups: jobs that are inserted in the transaction in which another job ends.

ALTER TYPE awa.closing ADD ATTRIBUTE follow jsonb;  -- jobs that the attempt itself asked for
ALTER TYPE awa.closing ADD ATTRIBUTE skipped jsonb; -- what could not follow, as a list of errors

-- Whether a claim has jobs with options; NULL: it has none. So an end need not look.
ALTER TABLE awa.claims ADD options boolean;

-- A job that just ended, or runs again, and one job that follows from that.
CREATE TYPE awa.parent AS (
    pos bigint,
    id bigint,
    kind text,
    queue text,
    args jsonb,
    attempt int,
    metadata jsonb,
    outcome awa.outcome,
    error text,
    output jsonb,
    job jsonb); -- its template, see awa.template_problem()

-- Standing rules: when a job of this queue and kind (NULL: any) ends so, that job follows.
CREATE TABLE awa.follow_rules (
    name text PRIMARY KEY,
    event text NOT NULL,
    queue text,
    kind text,
    job jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_by text NOT NULL DEFAULT session_user
);

-- Follow-ups whose unique key another transaction was just taking; the leader decides later.
CREATE TABLE awa.undecided_jobs (
    job_id bigint PRIMARY KEY,
    job jsonb NOT NULL
);

ALTER TABLE awa.ready_entries DROP CONSTRAINT options;
ALTER TABLE awa.ready_entries ADD CONSTRAINT options CHECK (
    options IS NULL
    OR (jsonb_typeof(options) = 'object' AND octet_length(options::text) <= 65536
        AND (options -> 'max_run_ms' IS NULL
             OR (jsonb_typeof(options -> 'max_run_ms') = 'number'
                 AND (options ->> 'max_run_ms')::numeric BETWEEN 1 AND 31536000000))
        AND (options -> 'follow' IS NULL OR jsonb_typeof(options -> 'follow') = 'array'))) NOT VALID;
