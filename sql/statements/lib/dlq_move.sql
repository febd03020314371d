-- Move failed job $1 to the dead-letter queue, for reason $2 (NULL: manual).
-- returns: done boolean, false if it is not known or not failed
SELECT awa.move_to_dlq($1::bigint, coalesce($2::text, 'manual')) AS done
