-- Insert jobs from arrays: kinds $1, args $2, queues $3, priorities $4, max_attempts $5, run_ats $6
-- in ms, delays $7 in ms, tags $8 (JSON lists), metadata $9, unique keys $10, ordering keys $11, options
-- $12; $13: refuse all if one is bad.
-- returns: id bigint, NULL for a duplicate or a bad job, and its error text
SELECT j.id, j.error
  FROM (SELECT array_agg(awa.to_int(u.priority) ORDER BY u.ord) AS priorities,
               array_agg(awa.to_int(u.max_attempts) ORDER BY u.ord) AS max_attempts,
               array_agg(awa.from_ms(u.run_at) ORDER BY u.ord) AS run_ats,
               array_agg(awa.ms_interval(u.delay) ORDER BY u.ord) AS delays
          FROM unnest($4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
               WITH ORDINALITY AS u (priority, max_attempts, run_at, delay, ord)) AS n
 CROSS JOIN LATERAL awa.insert_jobs($1::text[], $2::text[], $3::text[], n.priorities,
            n.max_attempts, n.run_ats, n.delays, $8::text[], $9::text[], $10::text[], $11::text[],
            $13::boolean, $12::text[]) AS j
 ORDER BY j.ord
