-- For awa bench: in this database, which is dropped afterwards, a slot is full at $1 bytes, and completed
-- and failed jobs are kept for $2 seconds. 0 leaves a setting as it is.
-- returns: nothing
UPDATE awa.settings
   SET slot_bytes = coalesce(nullif($1::bigint, 0), slot_bytes),
       completed_retention = coalesce(nullif($2::bigint, 0) * interval '1 s', completed_retention),
       failed_retention = coalesce(nullif($2::bigint, 0) * interval '1 s', failed_retention)
