-- Complete, for worker $1, positions $4[i] of its claims $3[i], which lie in slots $2[i].
-- returns: done int8multirange, the positions really closed; the others are stale
SELECT awa.complete_jobs($1::bigint, $2::smallint[], $3::bigint[], $4::int8multirange[]) AS done
