-- SPDX-License-Identifier: MIT
-- What this login lacks to migrate: roles of awa, and the right to become awa_owner. A login that may run
-- the command mends it.
-- returns: what text, detail text, command text
SELECT 'role ' || r.role AS what, 'missing' AS detail,
       format('CREATE ROLE %I NOLOGIN', r.role) AS command
  FROM unnest(ARRAY['awa_owner', 'awa_producer', 'awa_bulk_producer', 'awa_worker', 'awa_operator',
                    'awa_viewer']) AS r (role)
 WHERE to_regrole(r.role) IS NULL
UNION ALL
SELECT 'login ' || quote_ident(current_user), 'may not become awa_owner',
       format('GRANT awa_owner TO %I', current_user)
 WHERE NOT (SELECT u.rolsuper FROM pg_roles AS u WHERE u.rolname = current_user)
   AND NOT CASE WHEN to_regrole('awa_owner') IS NULL THEN false
                ELSE pg_has_role(to_regrole('awa_owner'),
                                 CASE WHEN current_setting('server_version_num')::int < 160000
                                      THEN 'MEMBER' ELSE 'SET' END) END
