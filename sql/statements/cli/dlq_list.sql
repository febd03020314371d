-- Dead letters for a table, newest first: of kind $1, in queue $2, with tag $3, of reason $4, dead since
-- $5 and before $6 in ms (NULL: any), below the cursor $7; at most $8.
-- returns: id, kind, queue, reason, attempt as '25/25', since when it is dead, its last error, and its
-- cursor as microseconds-id, which the table does not show
SELECT d.id, d.kind, d.queue, d.reason, format('%s/%s', d.attempt, d.max_attempts) AS attempt,
       date_trunc('second', d.dlq_at) AS dead_since,
       left(d.errors -> -1 ->> 'error', 300) AS error,
       (extract(epoch FROM d.dlq_at) * 1000000)::bigint || '-' || d.id AS cursor
  FROM awa.list_dlq($1::text, $2::text, $3::text, $4::text,
                    timestamptz 'epoch' + $5::bigint * interval '1 ms',
                    timestamptz 'epoch' + $6::bigint * interval '1 ms',
                    timestamptz 'epoch'
                    + split_part($7::text, '-', 1)::bigint * interval '1 microsecond',
                    split_part($7::text, '-', 2)::bigint, $8::int) AS d
 ORDER BY d.dlq_at DESC, d.id DESC
