-- Settings of a worker's own sessions. $1 is synchronous_commit: claims may be asynchronous, see
-- awa.claim_jobs(); a function whose commit must be durable sees to that itself. The isolation level is
-- that of rule G5, whatever the connection string says. There is no idle timeout: a worker's session
-- listens, or waits for the next end. PostgreSQL 17 has transaction_timeout, too.
-- returns: read_only boolean; the rest is nothing
SELECT current_setting('transaction_read_only')::boolean AS read_only,
       set_config('synchronous_commit', $1::text, false),
       set_config('statement_timeout', '30s', false), set_config('lock_timeout', '5s', false),
       set_config('idle_session_timeout', '0', false),
       (SELECT set_config(s.name, '0', false)
          FROM pg_catalog.pg_settings AS s WHERE s.name = 'transaction_timeout'),
       set_config('plan_cache_mode', 'force_generic_plan', false),
       set_config('default_transaction_isolation', 'read committed', false)
