-- Deadlines of a worker's own sessions; $1 is synchronous_commit. Claims may be asynchronous,
-- see awa.claim_jobs(); what must be durable says so itself. The isolation is that of rule G5,
-- whatever the connection string says.
-- returns: one row of nothing
SELECT set_config('synchronous_commit', $1::text, false),
       set_config('statement_timeout', '30s', false), set_config('lock_timeout', '5s', false),
       set_config('plan_cache_mode', 'force_generic_plan', false),
       set_config('default_transaction_isolation', 'read committed', false)
