-- Everything about job $1, for people.
-- returns: one row of texts, NULL for what does not apply; dead_since and reason only if it is in the
-- dead-letter queue; no row if the job is not known
SELECT j.id, j.kind, j.queue, j.state, j.priority,
       format('%s of %s', j.attempt, j.max_attempts) AS attempt, j.created_at AS created,
       CASE WHEN j.state IN ('scheduled', 'retryable') THEN j.run_at END AS due,
       j.attempted_at AS started, j.deadline_at AS deadline,
       (j.options ->> 'max_run_ms')::bigint * interval '1 ms' AS max_run, j.finalized_at AS ended,
       j.dlq_at AS dead_since, j.dlq_reason AS reason,
       (SELECT w.name FROM awa.worker_list AS w WHERE w.worker_id = j.worker_id) AS worker,
       j.run_lease, array_to_string(j.tags, ', ') AS tags, j.unique_key,
       jsonb_pretty(j.metadata) AS metadata, jsonb_pretty(j.args) AS args,
       jsonb_pretty(j.output) AS output,
       (SELECT string_agg(format('%s: %s %s', f ->> 'on', f #>> '{job,kind}', (f -> 'job') - 'kind'),
                          E'\n' ORDER BY n)
          FROM jsonb_array_elements(j.options -> 'follow') WITH ORDINALITY AS u (f, n)) AS follows,
       (SELECT string_agg(format(E'attempt %s, %s, %s:\n%s', e ->> 'attempt', e ->> 'outcome',
                                 (e ->> 'at')::timestamptz, e ->> 'error'), E'\n' ORDER BY n)
          FROM jsonb_array_elements(j.errors) WITH ORDINALITY AS u (e, n)) AS errors
  FROM awa.get_job($1::bigint) AS j
