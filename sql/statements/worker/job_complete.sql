-- Complete the job at position $3 of claim $2 of worker $1, with output $4 and jobs that follow
-- $5, in this transaction.
-- returns: one row of nothing
SELECT awa.complete_job($1::bigint, $2::bigint, $3::bigint, $4::jsonb, $5::jsonb)
