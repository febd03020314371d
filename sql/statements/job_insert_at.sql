-- Insert one job as job_insert does, but $6, run_at, is a time in any form that Postgres reads.
-- returns: id bigint, NULL for a duplicate of the unique key
SELECT awa.insert_job($1::text, awa.need_json('args', $2::text), $3::text,
                      awa.to_int($4::bigint), awa.to_int($5::bigint), $6::timestamptz,
                      awa.ms_interval($7::bigint), $8::text[],
                      awa.need_json('metadata', $9::text), $10::text, $11::text) AS id
