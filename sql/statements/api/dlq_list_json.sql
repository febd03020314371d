-- The same as dlq_list, with the whole dead letters.
-- returns: dead letters json, a list, each with its cursor
SELECT coalesce(json_agg(to_jsonb(d) || jsonb_build_object('cursor',
                    (extract(epoch FROM d.dlq_at) * 1000000)::bigint || '-' || d.id)
                    ORDER BY d.dlq_at DESC, d.id DESC), '[]') AS dead
  FROM awa.list_dlq($1::text, $2::text, $3::text, $4::text,
                    timestamptz 'epoch' + $5::bigint * interval '1 ms',
                    timestamptz 'epoch' + $6::bigint * interval '1 ms',
                    timestamptz 'epoch'
                    + split_part($7::text, '-', 1)::bigint * interval '1 microsecond',
                    split_part($7::text, '-', 2)::bigint, $8::int) AS d
