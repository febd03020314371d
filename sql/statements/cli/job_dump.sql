-- Everything that is known about job $1, for people: what job_get says of it, then where it is, who had
-- it, and why it is in this state.
-- returns: one row of texts, NULL for what does not apply; no row if the job is not known
SELECT j.id, j.kind, j.queue, j.state, j.priority,
       format('%s of %s', j.attempt, j.max_attempts) AS attempt, j.created_at AS created,
       j.run_at, j.attempted_at AS started, j.deadline_at AS deadline,
       (j.options ->> 'max_run_ms')::bigint * interval '1 ms' AS max_run, j.finalized_at AS ended,
       j.dlq_at AS dead_since, j.dlq_reason AS reason, d.dump ->> 'place' AS place,
       CASE WHEN l.lane IS NOT NULL
            THEN format('%s: queue %s, priority %s, shard %s%s', l.lane ->> 'lane_id',
                        l.lane ->> 'queue', l.lane ->> 'priority', l.lane ->> 'enqueue_shard',
                        CASE WHEN l.lane ->> 'sealed' = 'true' THEN ', sealed' END) END AS lane,
       j.ready_slot AS slot, j.pos AS position, j.run_lease AS claim,
       coalesce((SELECT w.name || ' (' || w.worker_id || ')' FROM awa.worker_list AS w
                  WHERE w.worker_id = j.worker_id), j.worker_id::text) AS worker,
       array_to_string(j.tags, ', ') AS tags,
       j.unique_key || CASE d.dump ->> 'unique_key_held' WHEN 'true' THEN ' (held)'
                            ELSE ' (not held)' END AS unique_key,
       jsonb_pretty(j.metadata) AS metadata, jsonb_pretty(j.args) AS args,
       jsonb_pretty(j.output) AS output,
       (SELECT string_agg(format('%s: %s %s', f ->> 'on', f #>> '{job,kind}', (f -> 'job') - 'kind'),
                          E'\n' ORDER BY n)
          FROM jsonb_array_elements(j.options -> 'follow') WITH ORDINALITY AS u (f, n)) AS follows,
       (SELECT string_agg(concat_ws(E'\n  ',
                    format('slot %s, lane %s, position %s', a ->> 'ready_slot', a ->> 'lane_id',
                           a ->> 'lane_position'),
                    'enqueued at ' || (a ->> 'enqueued_at')::timestamptz,
                    CASE WHEN a ->> 'claim_id' IS NOT NULL
                         THEN format('claim %s of worker %s (%s) at %s', a ->> 'claim_id',
                                     coalesce(a ->> 'worker', '?'), a ->> 'worker_id',
                                     (a ->> 'claimed_at')::timestamptz) END,
                    'deadline at ' || (a ->> 'deadline_at')::timestamptz,
                    (a ->> 'outcome') || ' at ' || (a ->> 'closed_at')::timestamptz,
                    'withdrawn as ' || (a ->> 'withdrawn') || ' at '
                    || (a ->> 'withdrawn_at')::timestamptz), E'\n' ORDER BY n)
          FROM jsonb_array_elements(d.dump -> 'appearances') WITH ORDINALITY AS u (a, n))
       AS appearances,
       (SELECT string_agg(format(E'attempt %s, %s, %s:\n%s', e ->> 'attempt', e ->> 'outcome',
                                 (e ->> 'at')::timestamptz, e ->> 'error'), E'\n' ORDER BY n)
          FROM jsonb_array_elements(d.dump -> 'errors') WITH ORDINALITY AS u (e, n)) AS errors,
       (SELECT string_agg(concat_ws('; ', e ->> 'finding',
                                    'since ' || (e ->> 'since')::timestamptz, e ->> 'hint'),
                          E'\n' ORDER BY n)
          FROM jsonb_array_elements(d.dump -> 'explained') WITH ORDINALITY AS u (e, n))
       AS explained
  FROM (SELECT awa.dump_job($1::bigint) AS dump OFFSET 0) AS d
 CROSS JOIN LATERAL jsonb_populate_record(NULL::awa.jobs, d.dump -> 'job') AS j
 CROSS JOIN LATERAL (SELECT nullif(d.dump -> 'lane', 'null') AS lane) AS l
 WHERE d.dump IS NOT NULL
