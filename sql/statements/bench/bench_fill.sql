-- For awa bench: add $1 deferred jobs with arguments $3. They are due one millisecond after each other,
-- the first of them one day and $2 ms from now. The statement writes the table itself, without a function
-- of the engine; the database is dropped afterwards.
-- returns: nothing
INSERT INTO awa.deferred_jobs (id, run_at, created_at, state, priority, enqueue_shard, attempt,
       max_attempts, queue, kind, args)
SELECT nextval('awa.job_ids'), now() + interval '1 day' + ($2::bigint + n) * interval '1 ms',
       now(), 'scheduled', awa.default_priority(), 0, 0, awa.default_max_attempts(),
       awa.default_queue(), 'bench', $3::jsonb
  FROM generate_series(1, $1::bigint) AS n
