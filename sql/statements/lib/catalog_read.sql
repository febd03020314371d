-- SPDX-License-Identifier: MIT
-- Every object in schema awa: its name, with its kind in front, as DROP wants it; what defines it; what
-- the roles of awa and PUBLIC may do with it; and its owner. A definition is a command that makes the
-- object again, if there is a short one, else a hash or a list. Objects that follow from others are left
-- out: columns of partitions, inherited constraints, sequences of identity columns.
-- returns: objects json, an array of {kind, object, definition, acl, owner}
WITH objects (kind, object, definition, acl, owner) AS (
    SELECT 'SCHEMA', 'awa', '', coalesce(n.nspacl, acldefault('n', n.nspowner)), n.nspowner
      FROM pg_namespace AS n
     WHERE n.nspname = 'awa'
    UNION ALL
    SELECT CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'S' THEN 'SEQUENCE' WHEN 'c' THEN 'TYPE'
                          ELSE 'TABLE' END,
           format('awa.%I', c.relname),
           CASE WHEN c.relkind = 'v' THEN md5(pg_get_viewdef(c.oid))
                WHEN c.relkind = 'S'
                THEN format('CREATE SEQUENCE awa.%I AS %s INCREMENT %s MINVALUE %s MAXVALUE %s'
                            ' START %s CACHE %s%s', c.relname, s.seqtypid::regtype, s.seqincrement,
                            s.seqmin, s.seqmax, s.seqstart, s.seqcache,
                            CASE WHEN s.seqcycle THEN ' CYCLE' ELSE '' END)
                ELSE coalesce(pg_get_expr(c.relpartbound, c.oid), '') END,
           CASE c.relkind WHEN 'c' THEN NULL
                          WHEN 'S' THEN coalesce(c.relacl, acldefault('s', c.relowner))
                          ELSE coalesce(c.relacl, acldefault('r', c.relowner)) END,
           c.relowner
      FROM pg_class AS c
      LEFT JOIN pg_sequence AS s
        ON s.seqrelid = c.oid
     WHERE c.relnamespace = 'awa'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'S', 'c')
       AND NOT (c.relkind = 'S' AND EXISTS (SELECT 1 FROM pg_depend AS d
                                             WHERE d.objid = c.oid AND d.deptype = 'i'))
    UNION ALL
    SELECT CASE c.relkind WHEN 'v' THEN 'VIEW COLUMN' ELSE 'COLUMN' END,
           format('awa.%I.%I', c.relname, a.attname),
           format('%s%s%s', format_type(a.atttypid, a.atttypmod),
                  CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END,
                  ' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid)), a.attacl, NULL
      FROM pg_attribute AS a
      JOIN pg_class AS c ON c.oid = a.attrelid
      LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
     WHERE c.relnamespace = 'awa'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'c')
       AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT 'INDEX', format('awa.%I', c.relname), pg_get_indexdef(c.oid), NULL, NULL
      FROM pg_index AS i
      JOIN pg_class AS c ON c.oid = i.indexrelid
     WHERE c.relnamespace = 'awa'::regnamespace AND i.indisvalid
       AND NOT EXISTS (SELECT 1 FROM pg_constraint AS k WHERE k.conindid = c.oid)
    UNION ALL
    SELECT 'CONSTRAINT', format('awa.%I.%I', c.relname, k.conname),
           format('ALTER TABLE awa.%I ADD CONSTRAINT %I %s', c.relname, k.conname,
                  pg_get_constraintdef(k.oid)), NULL, NULL
      FROM pg_constraint AS k
      JOIN pg_class AS c ON c.oid = k.conrelid
     WHERE k.connamespace = 'awa'::regnamespace AND k.contype <> 'n' AND k.coninhcount = 0
    UNION ALL
    SELECT 'TRIGGER', format('awa.%I.%I', c.relname, t.tgname), md5(pg_get_triggerdef(t.oid)),
           NULL, NULL
      FROM pg_trigger AS t
      JOIN pg_class AS c ON c.oid = t.tgrelid
     WHERE c.relnamespace = 'awa'::regnamespace AND NOT t.tgisinternal
    UNION ALL
    SELECT 'TYPE', format('awa.%I', t.typname),
           (SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder)
              FROM pg_enum AS e WHERE e.enumtypid = t.oid), NULL, t.typowner
      FROM pg_type AS t
     WHERE t.typnamespace = 'awa'::regnamespace AND t.typtype = 'e'
    UNION ALL
    SELECT 'ROUTINE', p.oid::regprocedure::text, md5(pg_get_functiondef(p.oid)),
           coalesce(p.proacl, acldefault('f', p.proowner)), p.proowner
      FROM pg_proc AS p
     WHERE p.pronamespace = 'awa'::regnamespace AND p.prokind IN ('f', 'p'))
SELECT coalesce(json_agg(json_build_object(
           'kind', o.kind, 'object', o.object, 'definition', o.definition, 'owner', o.owner,
           'acl', coalesce((SELECT string_agg(format('%s %s', coalesce(r.rolname, 'PUBLIC'), a.may),
                                              ', ' ORDER BY r.rolname, a.may)
                              FROM (SELECT a.grantee, string_agg(a.privilege_type
                                           || CASE WHEN a.is_grantable THEN '*' ELSE '' END,
                                           '+' ORDER BY a.privilege_type) AS may
                                      FROM aclexplode(o.acl) AS a GROUP BY a.grantee) AS a
                              LEFT JOIN pg_roles AS r ON r.oid = a.grantee
                             WHERE a.grantee = 0 OR r.rolname IN (
                                   'awa_owner', 'awa_producer', 'awa_bulk_producer', 'awa_worker',
                                   'awa_operator', 'awa_viewer')), ''))), '[]') AS objects
  FROM objects AS o
