-- SPDX-License-Identifier: MIT
-- Settings of a session that awa opened, unless somebody who may choose them has chosen. The caller's
-- connection string and PGOPTIONS always go first; for deadlines ALTER ROLE and ALTER DATABASE do, too.
-- What only postgresql.conf says is for everybody and yields: with the defaults of some hosting
-- companies, a dead worker's session would last for hours.
-- $1: the server process that the client was told it talks to. If a pooler stands in between, this is
-- another process. Then nothing is set, because any client may be next on this session.
-- returns: changed bigint, how many were set; pooled boolean
SELECT count(set_config(s.name, want.setting, false)) AS changed,
       pg_backend_pid() <> $1::int AS pooled
  FROM (VALUES
            -- what the library relies on
            ('DateStyle', 'ISO', true),
            ('IntervalStyle', 'postgres', true),
            ('array_nulls', 'on', true),
            ('default_transaction_isolation', 'read committed', true),
            ('jit', 'off', true),
            -- deadlines of the server on this session
            ('client_connection_check_interval', '2s', false),
            ('idle_in_transaction_session_timeout', '60s', false),
            ('tcp_keepalives_idle', '5', false),
            ('tcp_keepalives_interval', '3', false),
            ('tcp_keepalives_count', '3', false))
       AS want (name, setting, needed)
  JOIN pg_catalog.pg_settings AS s
    ON s.name = want.name
 WHERE pg_backend_pid() = $1::int
   AND (s.source IN ('default', 'configuration file', 'command line', 'environment variable')
        OR (want.needed AND s.source IN ('database', 'user', 'database user')))
