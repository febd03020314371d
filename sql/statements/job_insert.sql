-- Insert one job: kind $1, args $2, queue $3, priority $4, max_attempts $5, run_at $6 in ms,
-- delay $7 in ms, tags $8, metadata $9, unique key $10, ordering key $11. NULL means the default.
-- returns: id bigint, NULL for a duplicate of the unique key
SELECT awa.insert_job($1::text, $2::jsonb, $3::text, $4::int, $5::int, awa.from_ms($6::bigint),
                      $7::bigint * interval '1 ms', $8::text[], $9::jsonb, $10::text,
                      $11::text) AS id
