-- SPDX-License-Identifier: MIT
-- The start of a migration's transaction. Only one migration runs at a time; the search_path keeps
-- objects of other schemas out of the way; and the session gets no NOTICE or WARNING, because the library
-- does not print.
-- returns: role text, the role that SET ROLE chose in this session, or 'none'; the rest is nothing
SELECT pg_catalog.current_setting('role') AS role,
       pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true),
       pg_catalog.set_config('client_min_messages', 'error', true),
       pg_catalog.pg_advisory_xact_lock(x'6177616d69677261'::bigint)
