-- SPDX-License-Identifier: MIT
-- Commands that give the functions and views of $1, from engine_forms, names that nobody uses. Functions
-- come first: a command names them with their arguments, which may be rows of a view.
-- returns: commands text
SELECT string_agg(format('ALTER %s RENAME TO %I', o.address, 'old_' || o.oid), '; '
                  ORDER BY o.class = 'pg_class'::regclass::oid) AS commands
  FROM json_to_recordset($1::json) AS o (class oid, oid oid, address text)
