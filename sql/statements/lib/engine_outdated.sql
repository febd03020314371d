-- SPDX-License-Identifier: MIT
-- Commands that drop the functions and views of $1 that $2 does not have any more, or has in a form that
-- cannot be replaced; and before each of them the objects that depend on it. $1 and $2 are from
-- engine_forms. The objects that depend on it must be the engine's own, which makes them again.
-- returns: commands text; in_the_way text: an object of somebody else, NULL if there is none
WITH RECURSIVE
old AS (
    SELECT *
      FROM json_to_recordset($1::json)
           AS o (class oid, oid oid, name text, address text, form text, defaults int)),
new AS (
    SELECT *
      FROM json_to_recordset($2::json) AS n (class oid, name text, form text, defaults int)),
doomed (class, oid, depth) AS (
    SELECT o.class, o.oid, 0
      FROM old AS o
     WHERE NOT EXISTS (
            SELECT 1
              FROM new AS n
             WHERE n.class = o.class AND n.name = o.name AND n.defaults >= o.defaults
               AND (n.form = o.form OR (o.class = 'pg_class'::regclass::oid
                                        AND starts_with(n.form, o.form || ', '))))
    UNION
    -- a view depends through its rule; a function may depend on the row type of a view
    SELECT whole.class, whole.oid, d.depth + 1
      FROM doomed AS d
      JOIN pg_depend AS part
        ON part.refclassid = d.class AND part.refobjid = d.oid
      LEFT JOIN pg_rewrite AS rule
        ON part.classid = 'pg_rewrite'::regclass AND rule.oid = part.objid
     CROSS JOIN LATERAL (
            SELECT CASE WHEN rule.oid IS NULL THEN part.classid ELSE 'pg_class'::regclass END,
                   coalesce(rule.ev_class, part.objid)) AS whole (class, oid)
     WHERE (whole.class, whole.oid) <> (d.class, d.oid) AND d.depth < 32),
known AS (
    SELECT d.class, d.oid, max(d.depth) AS depth,
           CASE WHEN t.oid IS NULL THEN o.address
                ELSE format('TRIGGER %I ON %s', t.tgname, t.tgrelid::regclass) END AS address
      FROM doomed AS d
      LEFT JOIN old AS o
        ON o.class = d.class AND o.oid = d.oid
      LEFT JOIN (pg_trigger AS t
                 JOIN pg_proc AS p
                   ON p.oid = t.tgfoid AND p.pronamespace = 'awa'::regnamespace)
        ON d.class = 'pg_trigger'::regclass AND t.oid = d.oid
     GROUP BY d.class, d.oid, o.address, t.oid, t.tgname, t.tgrelid)
SELECT string_agg('DROP ' || k.address, '; ' ORDER BY k.depth DESC) AS commands,
       min(pg_describe_object(k.class, k.oid, 0))
           FILTER (WHERE k.address IS NULL
                     -- types of rows and arrays come and go with their table or type
                     AND NOT EXISTS (SELECT 1 FROM pg_type AS t
                                      WHERE k.class = 'pg_type'::regclass AND t.oid = k.oid
                                        AND (t.typtype = 'c' OR t.typelem <> 0))) AS in_the_way
  FROM known AS k
