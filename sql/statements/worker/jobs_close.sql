-- Close single attempts of worker $1: slots $2, claims $3, positions $4, outcomes $5, errors $6, outputs
-- $7 (JSON or any other text), delays $8 in ms, lists of jobs that follow $9. Behind a pooler we set
-- nothing in the session, so array_nulls may be off: then NULL has come as the text 'NULL'.
-- returns: pos bigint; state text, 'stale' if the attempt had lost the job; error text, if the job is
-- still open
SELECT c.pos, c.state, c.error
  FROM (SELECT CASE WHEN s.nulls THEN $6::text[] ELSE array_replace($6, 'NULL', NULL) END AS errors,
               CASE WHEN s.nulls THEN $7::text[] ELSE array_replace($7, 'NULL', NULL) END AS outputs,
               CASE WHEN s.nulls THEN $9::text[] ELSE array_replace($9, 'NULL', NULL) END AS follows,
               (SELECT array_agg(nullif(d, 'NULL')::bigint * interval '1 ms' ORDER BY n)
                  FROM unnest($8::text[]) WITH ORDINALITY AS u (d, n)) AS delays
          FROM (SELECT current_setting('array_nulls')::boolean AS nulls) AS s) AS said
 CROSS JOIN LATERAL awa.close_jobs($1::bigint, $2::smallint[], $3::bigint[], $4::bigint[],
            $5::text[], said.errors, said.outputs, said.delays, said.follows) AS c
