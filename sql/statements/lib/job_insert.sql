-- Insert one job: kind $1, args $2, queue $3, priority $4, max_attempts $5, run_at $6 in ms,
-- delay $7 in ms, tags $8, metadata $9, unique key $10, ordering key $11, options $12. NULL means the default.
-- returns: id bigint, NULL for a duplicate of the unique key
SELECT awa.insert_job($1::text, awa.need_json('args', $2::text), $3::text,
                      awa.to_int($4::bigint), awa.to_int($5::bigint), awa.from_ms($6::bigint),
                      awa.ms_interval($7::bigint), $8::text[],
                      awa.need_json('metadata', $9::text), $10::text, $11::text,
                      awa.need_json('options', $12::text)) AS id
