-- Dead letters, newest first: of kind $1, in queue $2, with tag $3, of reason $4, dead since $5 and
-- before $6 in ms (NULL: any), below the cursor $7; at most $8.
-- returns: dead letters json, a list, each with its cursor as microseconds-id; and the cursor of the next
-- page, NULL if there is none
SELECT coalesce(json_agg(to_jsonb(d) || jsonb_build_object('cursor',
                    (extract(epoch FROM d.dlq_at) * 1000000)::bigint || '-' || d.id)
                    ORDER BY d.dlq_at DESC, d.id DESC), '[]') AS dead,
       CASE WHEN count(*) = $8::int
            THEN (array_agg((extract(epoch FROM d.dlq_at) * 1000000)::bigint || '-' || d.id
                            ORDER BY d.dlq_at, d.id))[1] END AS next
  FROM awa.list_dlq($1::text, $2::text, $3::text, $4::text,
                    timestamptz 'epoch' + $5::bigint * interval '1 ms',
                    timestamptz 'epoch' + $6::bigint * interval '1 ms',
                    timestamptz 'epoch'
                    + split_part($7::text, '-', 1)::bigint * interval '1 microsecond',
                    split_part($7::text, '-', 2)::bigint, $8::int) AS d
