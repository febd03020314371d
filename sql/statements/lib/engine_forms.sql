-- SPDX-License-Identifier: MIT
-- The form of every function and view of the engine: what CREATE OR REPLACE cannot change. It can add
-- columns at the end of a view, and defaults to arguments; then the new `form` and `defaults` go on where
-- the old ones end.
-- returns: forms json, an array of {class, oid, name, address, form, defaults}
SELECT coalesce(json_agg(o), '[]') AS forms
  FROM (SELECT 'pg_proc'::regclass::oid AS class, p.oid, p.proname AS name,
               format('ROUTINE %s', p.oid::regprocedure) AS address,
               format('%s(%s) %s', p.prokind, pg_get_function_identity_arguments(p.oid),
                      pg_get_function_result(p.oid)) AS form,
               p.pronargdefaults AS defaults
          FROM pg_proc AS p
         WHERE p.pronamespace = 'awa'::regnamespace AND p.proowner = 'awa_owner'::regrole
        UNION ALL
        SELECT 'pg_class'::regclass::oid, c.oid, c.relname, format('VIEW awa.%I', c.relname),
               (SELECT string_agg(format('%I %s %s', a.attname,
                                         format_type(a.atttypid, a.atttypmod), a.attcollation),
                                  ', ' ORDER BY a.attnum)
                  FROM pg_attribute AS a
                 WHERE a.attrelid = c.oid AND a.attnum > 0),
               0
          FROM pg_class AS c
         WHERE c.relnamespace = 'awa'::regnamespace AND c.relowner = 'awa_owner'::regrole
           AND c.relkind = 'v') AS o
