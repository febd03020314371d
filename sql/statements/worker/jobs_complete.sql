-- Complete the jobs at positions $4[i] of claims $3[i] of worker $1, which lie in slots $2[i].
-- returns: done int8multirange, the positions that were really closed; the others are stale
SELECT awa.complete_jobs($1::bigint, $2::smallint[], $3::bigint[], $4::int8multirange[]) AS done
