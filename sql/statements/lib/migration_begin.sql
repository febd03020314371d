-- SPDX-License-Identifier: MIT
-- At the start of a migration's transaction: one migration at a time; no foreign schema can put
-- its objects in the way; and no NOTICE or WARNING, for the library does not print.
-- returns: role text, what SET ROLE said in this session, or 'none'; and nothing
SELECT pg_catalog.current_setting('role') AS role,
       pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true),
       pg_catalog.set_config('client_min_messages', 'error', true),
       pg_catalog.pg_advisory_xact_lock(x'6177616d69677261'::bigint)
