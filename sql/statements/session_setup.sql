-- SPDX-License-Identifier: MIT
-- Settings of a session that awa opened, where nobody who may choose has chosen: the caller's
-- connection string and PGOPTIONS always go first; for deadlines so do ALTER ROLE and ALTER
-- DATABASE. What only postgresql.conf says is for everybody and yields: the defaults of some
-- hosting companies would keep a dead worker's session for hours.
-- returns: changed bigint, how many were set
SELECT count(set_config(s.name, want.setting, false)) AS changed
  FROM (VALUES
            -- what the library relies on
            ('client_encoding', 'UTF8', true),
            ('DateStyle', 'ISO', true),
            ('IntervalStyle', 'postgres', true),
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
 WHERE s.source IN ('default', 'configuration file', 'command line', 'environment variable')
    OR (want.needed AND s.source IN ('database', 'user', 'database user'))
