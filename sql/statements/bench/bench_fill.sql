-- For awa bench: $1 more jobs that are due a millisecond after each other, the first of them $2
-- milliseconds after tomorrow's time, with arguments $3. The one statement outside of the engine
-- that writes a table of its own accord: in a database that is dropped afterwards.
-- returns: nothing
INSERT INTO awa.deferred_jobs (id, run_at, created_at, state, priority, enqueue_shard, attempt,
       max_attempts, queue, kind, args)
SELECT nextval('awa.job_ids'), now() + interval '1 day' + ($2::bigint + n) * interval '1 ms',
       now(), 'scheduled', awa.default_priority(), 0, 0, awa.default_max_attempts(),
       awa.default_queue(), 'bench', $3::jsonb
  FROM generate_series(1, $1::bigint) AS n
