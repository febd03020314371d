-- Read jobs from $1: JSON objects, one on each line. What a line leaves out, or gives as null, is kind
-- $2, args $3, queue $4, priority $5, max_attempts $6, tags $9, metadata $10, unique key $11, ordering
-- key $12 and options $13. If a line names no time, run_at is $7 or the delay is $8, in ms.
-- A line that is not JSON, or whose run_at is not a time, fails the whole statement.
-- returns: for each line, in order, what is wrong with it, or NULL, and the columns of jobs_insert
SELECT CASE
           WHEN jsonb_typeof(d.doc) <> 'object'
               THEN format('want a JSON object, got %s', jsonb_typeof(d.doc))
           WHEN d.doc - ARRAY['kind', 'args', 'queue', 'priority', 'max_attempts', 'run_at',
                              'delay', 'delay_ms', 'tags', 'metadata', 'unique_key',
                              'ordering_key', 'max_run', 'max_run_ms', 'follow'] <> '{}'
               THEN (SELECT format('%s: unknown field', left(min(k.key), 80))
                       FROM jsonb_object_keys(d.doc - ARRAY['kind', 'args', 'queue', 'priority',
                            'max_attempts', 'run_at', 'delay', 'delay_ms', 'tags', 'metadata',
                            'unique_key', 'ordering_key', 'max_run', 'max_run_ms', 'follow'])
                            AS k (key))
           WHEN jsonb_typeof(d.doc -> 'kind') NOT IN ('string', 'null')
               THEN 'kind: want a string'
           WHEN coalesce(d.doc ->> 'kind', $2::text) IS NULL THEN 'kind: missing'
           WHEN jsonb_typeof(d.doc -> 'queue') NOT IN ('string', 'null')
               THEN 'queue: want a string'
           WHEN jsonb_typeof(d.doc -> 'unique_key') NOT IN ('string', 'null')
               THEN 'unique_key: want a string'
           WHEN jsonb_typeof(d.doc -> 'ordering_key') NOT IN ('string', 'null')
               THEN 'ordering_key: want a string'
           WHEN jsonb_typeof(d.doc -> 'run_at') NOT IN ('string', 'null')
               THEN 'run_at: want a string'
           WHEN NOT isfinite(t.run_at) THEN 'run_at: want a finite time'
           WHEN t.delay IS NULL AND jsonb_typeof(d.doc -> 'delay') <> 'null'
               THEN 'delay: want 500ms, 5s, 2m, 1h or 3d'
           WHEN t.delay IS NOT NULL AND jsonb_typeof(d.doc -> 'delay_ms') <> 'null'
               THEN 'delay: excludes delay_ms'
           WHEN coalesce(jsonb_typeof(d.doc -> 'priority'), 'null') <> 'null'
                AND (t.priority % 1 = 0 AND abs(t.priority) < 1e9) IS NOT TRUE
               THEN format('priority: want a whole number, got %s',
                           left(d.doc ->> 'priority', 40))
           WHEN coalesce(jsonb_typeof(d.doc -> 'max_attempts'), 'null') <> 'null'
                AND (t.max_attempts % 1 = 0 AND abs(t.max_attempts) < 1e9) IS NOT TRUE
               THEN format('max_attempts: want a whole number, got %s',
                           left(d.doc ->> 'max_attempts', 40))
           WHEN coalesce(jsonb_typeof(d.doc -> 'delay_ms'), 'null') <> 'null'
                AND (t.delay_ms >= 0 AND t.delay_ms < 1e13) IS NOT TRUE
               THEN format('delay_ms: want a number from 0 to 1e13, got %s',
                           left(d.doc ->> 'delay_ms', 40))
           WHEN t.max_run IS NULL AND jsonb_typeof(d.doc -> 'max_run') <> 'null'
               THEN 'max_run: want 500ms, 5s, 2m, 1h or 3d'
           WHEN t.max_run IS NOT NULL AND jsonb_typeof(d.doc -> 'max_run_ms') <> 'null'
               THEN 'max_run: excludes max_run_ms'
           END AS problem,
       coalesce(d.doc ->> 'kind', $2::text) AS kind,
       coalesce(d.doc -> 'args', $3::jsonb)::text AS args,
       coalesce(d.doc ->> 'queue', $4::text) AS queue,
       coalesce(CASE WHEN abs(t.priority) < 1e9 THEN t.priority::int END, $5::int) AS priority,
       coalesce(CASE WHEN abs(t.max_attempts) < 1e9 THEN t.max_attempts::int END,
                $6::int) AS max_attempts,
       CASE WHEN isfinite(t.run_at) THEN (extract(epoch FROM t.run_at) * 1000)::bigint
            WHEN t.timeless THEN (extract(epoch FROM $7::timestamptz) * 1000)::bigint END AS run_at,
       CASE WHEN t.delay IS NOT NULL THEN (extract(epoch FROM t.delay) * 1000)::bigint
            WHEN abs(t.delay_ms) < 1e13 THEN t.delay_ms::bigint
            WHEN t.timeless THEN $8::bigint END AS delay,
       coalesce(nullif(d.doc -> 'tags', 'null'), to_jsonb($9::text[]))::text AS tags,
       coalesce(nullif(d.doc -> 'metadata', 'null'), $10::jsonb)::text AS metadata,
       coalesce(d.doc ->> 'unique_key', $11::text) AS unique_key,
       coalesce(d.doc ->> 'ordering_key', $12::text) AS ordering_key,
       nullif(coalesce($13::jsonb, '{}')
              || CASE WHEN t.max_run IS NOT NULL
                      THEN jsonb_build_object('max_run_ms', (extract(epoch FROM t.max_run) * 1000)::bigint)
                      WHEN jsonb_typeof(d.doc -> 'max_run_ms') <> 'null'
                      THEN jsonb_build_object('max_run_ms', d.doc -> 'max_run_ms')
                      ELSE '{}' END
              || CASE WHEN jsonb_typeof(d.doc -> 'follow') <> 'null'
                      THEN jsonb_build_object('follow', d.doc -> 'follow') ELSE '{}' END,
              '{}')::text AS options
  FROM string_to_table($1::text, E'\n') WITH ORDINALITY AS l (line, n)
 CROSS JOIN LATERAL (SELECT l.line::jsonb AS doc OFFSET 0) AS d -- OFFSET: read each line once
 CROSS JOIN LATERAL (
        SELECT CASE WHEN jsonb_typeof(d.doc -> 'run_at') = 'string'
                    THEN (d.doc ->> 'run_at')::timestamptz END AS run_at,
               CASE WHEN d.doc ->> 'delay' ~ '^[0-9]{1,9}(ms|s|m|h|d)$'
                    THEN (d.doc ->> 'delay')::interval END AS delay,
               CASE WHEN d.doc ->> 'max_run' ~ '^[0-9]{1,9}(ms|s|m|h|d)$'
                    THEN (d.doc ->> 'max_run')::interval END AS max_run,
               CASE WHEN jsonb_typeof(d.doc -> 'delay_ms') = 'number'
                    THEN (d.doc -> 'delay_ms')::numeric END AS delay_ms,
               CASE WHEN jsonb_typeof(d.doc -> 'priority') = 'number'
                    THEN (d.doc -> 'priority')::numeric END AS priority,
               CASE WHEN jsonb_typeof(d.doc -> 'max_attempts') = 'number'
                    THEN (d.doc -> 'max_attempts')::numeric END AS max_attempts,
               coalesce(d.doc ->> 'run_at', d.doc ->> 'delay', d.doc ->> 'delay_ms')
               IS NULL AS timeless OFFSET 0) AS t
 ORDER BY l.n
