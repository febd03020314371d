-- SPDX-License-Identifier: MIT
-- How objects $1, from catalog_read, differ from what was recorded when the engine was last applied.
-- Definitions and rights are compared only on the same major version of PostgreSQL. Objects that were not
-- recorded are left alone. A difference is mended by commands of the session's own role, or of awa_owner;
-- or, with `engine`, by applying the engine; or not at all here.
-- returns: what text, detail text, session_commands text, owner_commands text, engine boolean,
-- missing boolean: there is no such object, and nothing that makes it
WITH now AS (
    SELECT n.kind || ' ' || n.object AS name, n.*
      FROM json_to_recordset($1::json)
           AS n (kind text, object text, definition text, acl text, owner oid)),
pairs AS (
    SELECT o.object AS name, substring(o.object FROM '^([A-Z ]+) awa') AS kind, o.definition, o.acl,
           n.definition AS definition_now, n.acl AS acl_now, n.owner, n.name IS NULL AS missing,
           o.object ~ '^(ROUTINE|VIEW|TRIGGER) ' AS engine
      FROM awa.schema_objects AS o
      LEFT JOIN now AS n
        ON n.name = o.object),
place AS (
    SELECT e.server_major AS was, current_setting('server_version_num')::int / 10000 AS major
      FROM awa.schema_engine AS e),
differences AS (
    SELECT p.name AS what, 'missing' AS detail, NULL AS session_commands,
           CASE WHEN p.kind IN ('SEQUENCE', 'INDEX', 'CONSTRAINT') THEN p.definition END
           AS owner_commands, p.engine, NOT p.engine AND p.kind NOT IN ('SEQUENCE', 'INDEX',
           'CONSTRAINT') AS missing,
           array_position(ARRAY['SEQUENCE', 'INDEX', 'CONSTRAINT'], p.kind) AS turn
      FROM pairs AS p
     WHERE p.missing
    UNION ALL
    SELECT p.name, CASE WHEN p.engine THEN 'changed' ELSE 'changed, which is left as it is' END, NULL, NULL, p.engine, false, NULL
      FROM pairs AS p, place AS l
     WHERE NOT p.missing AND l.was = l.major AND p.definition <> p.definition_now
       -- A constraint that is dumped and restored may come back with fewer parentheses.
       AND (p.kind <> 'CONSTRAINT'
            OR translate(p.definition, '() ', '') <> translate(p.definition_now, '() ', ''))
    UNION ALL
    SELECT 'owner ' || p.owner::regrole, p.names, p.commands, NULL, false, false, NULL
      FROM (SELECT p.owner, format('%s%s', array_to_string((array_agg(p.name ORDER BY p.name))[1:3],
                          ', '), ' and ' || nullif(greatest(count(*) - 3, 0), 0) || ' more') AS names,
                   string_agg(format('ALTER %s OWNER TO awa_owner', p.name), '; ') AS commands
              FROM pairs AS p
             WHERE p.owner IS DISTINCT FROM to_regrole('awa_owner') AND p.owner IS NOT NULL
             GROUP BY p.owner, p.kind) AS p
    UNION ALL
    SELECT 'rights ' || p.changes, p.names, NULL, p.commands, true, false, NULL
      FROM (SELECT p.changes,
                   -- Without these rights not even the engine can be applied.
                   string_agg(format('GRANT ALL ON %s TO awa_owner',
                                     regexp_replace(p.name, '^VIEW ', 'TABLE ')), '; ')
                       FILTER (WHERE p.changes ~ '-awa_owner ') AS commands,
                   format('%s%s', array_to_string((array_agg(p.name ORDER BY p.name))[1:3],
                          ', '), ' and ' || nullif(greatest(count(*) - 3, 0), 0) || ' more') AS names
              FROM (SELECT p.name,
                           (SELECT string_agg(c.change, ', ' ORDER BY c.change)
                              FROM (SELECT '-' || a AS change FROM unnest(p.rights) AS a
                                     WHERE a <> ALL (p.rights_now)
                                    UNION ALL
                                    SELECT '+' || a FROM unnest(p.rights_now) AS a
                                     WHERE a <> ALL (p.rights)) AS c) AS changes
                      FROM (SELECT p.*, string_to_array(p.acl, ', ') AS rights,
                                   string_to_array(p.acl_now, ', ') AS rights_now
                              FROM pairs AS p, place AS l
                             WHERE NOT p.missing AND l.was = l.major AND p.acl <> p.acl_now
                               AND (p.owner = to_regrole('awa_owner') OR p.owner IS NULL)) AS p
                   ) AS p
             GROUP BY p.changes) AS p
    UNION ALL
    SELECT 'engine', format('applied on PostgreSQL %s, this is %s', l.was, l.major), NULL, NULL,
           true, false, NULL
      FROM place AS l
     WHERE l.was <> l.major)
SELECT d.what, d.detail, d.session_commands, d.owner_commands, d.engine, d.missing
  FROM differences AS d
 ORDER BY d.turn, d.what ~ '^COLUMN ', d.what, d.detail
