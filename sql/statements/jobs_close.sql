-- Close single attempts of worker $1: slots $2, claims $3, positions $4, outcomes $5, errors $6,
-- outputs $7 (JSON texts), delays $8 in ms.
-- returns: pos bigint, state text ('stale': the attempt had lost the job), error text (it is
-- still open)
SELECT c.pos, c.state, c.error
  FROM awa.close_jobs($1::bigint, $2::smallint[], $3::bigint[], $4::bigint[], $5::text[],
            $6::text[], $7::text[],
            (SELECT array_agg(d * interval '1 ms' ORDER BY n)
               FROM unnest($8::bigint[]) WITH ORDINALITY AS u (d, n))) AS c
