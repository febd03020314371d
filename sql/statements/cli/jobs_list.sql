-- Jobs for a table, newest first: in state $1, of kind $2, in queue $3, with tag $4, with an id below $5
-- (NULL: any); at most $6.
-- returns: id, kind, queue, state, attempt as '1/25', when it is due or when it last moved, and its last
-- error unless it completed
SELECT j.id, j.kind, j.queue, j.state, format('%s/%s', j.attempt, j.max_attempts) AS attempt,
       format(CASE WHEN w.s < 0 THEN 'in %s' ELSE '%s ago' END,
              CASE WHEN abs(w.s) < 120 THEN abs(w.s) || 's'
                   WHEN abs(w.s) < 7200 THEN abs(w.s) / 60 || 'm'
                   WHEN abs(w.s) < 172800 THEN abs(w.s) / 3600 || 'h'
                   ELSE abs(w.s) / 86400 || 'd' END) AS "when",
       CASE WHEN j.state <> 'completed' THEN left(j.errors -> -1 ->> 'error', 300) END AS error
  FROM awa.list_jobs(awa.need_state($1::text), $2::text, $3::text, $4::text, $5::bigint, $6::int) AS j
 CROSS JOIN LATERAL (
        SELECT extract(epoch FROM clock_timestamp() - CASE
                       WHEN j.state IN ('scheduled', 'retryable') THEN j.run_at
                       ELSE coalesce(j.finalized_at, j.attempted_at, j.run_at) END)::bigint AS s) AS w
 ORDER BY j.id DESC
