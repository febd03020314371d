-- Insert jobs from arrays: kinds $1, args $2, queues $3, priorities $4, max_attempts $5, run_ats $6
-- in ms, delays $7 in ms, tags $8 (JSON lists), metadata $9, unique keys $10, ordering keys $11;
-- $12: refuse all if one is bad.
-- returns: id bigint, NULL for a duplicate or a bad job, and its error text
SELECT j.id, j.error
  FROM awa.insert_jobs($1::text[], $2::text[], $3::text[], $4::int[], $5::int[],
            (SELECT array_agg(awa.from_ms(t) ORDER BY n)
               FROM unnest($6::bigint[]) WITH ORDINALITY AS u (t, n)),
            (SELECT array_agg(d * interval '1 ms' ORDER BY n)
               FROM unnest($7::bigint[]) WITH ORDINALITY AS u (d, n)),
            $8::text[], $9::text[], $10::text[], $11::text[], $12::boolean) AS j
 ORDER BY j.ord
